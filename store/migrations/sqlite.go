package migrations

import "embed"

// SQLite holds the migrations of store/sqlite, in folder sqlite.
//
//go:embed sqlite/*.sql
var SQLite embed.FS

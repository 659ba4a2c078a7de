package migrations

import "embed"

// Postgres holds the PostgreSQL schema, one file a version.
//
//go:embed postgres/*.sql
var Postgres embed.FS

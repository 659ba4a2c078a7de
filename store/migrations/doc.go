// Package migrations holds the SQL that makes and changes the tables of the
// store drivers, a folder a database engine. Files are numbered and never
// changed once released; they expand first and contract a version later, so
// that the daemons of two neighbouring versions run side by side.
package migrations

// Package config reads the one configuration file: strict YAML, everything in
// it checked before anything starts, all mistakes told at once.
//
// The written type (what a person may put in the file, see example.yaml) and
// the validated type (Config, what the program works with) are two types. A
// mistake is a Problem with file, line, field and, where the values are a
// closed list, the values allowed. Nothing here opens a key, a certificate or
// a store: a file can be checked on another machine than the one it is for.
//
// Of YAML 1.2 these parts are left out on purpose: anchors, aliases, merge
// keys, tags, several documents in a file, keys that are not text. Text is
// never guessed from a number, nor a boolean from "yes".
//
// Secrets are given as file:/absolute/path, env:NAME or credential:NAME. A secret written in the
// file itself is refused, and no message repeats it.
package config

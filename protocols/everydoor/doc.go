// Package everydoor holds the tests that go through every door that enrolls: the
// same identity under the same profile gets the same certificate (the mask is
// package test/equality's), and what no door may take is taken by none. It stands
// here because clients of some doors need the wire code that doors share. A new
// door is a line in each of the two tables of doors.
package everydoor

// Package postgres keeps the ledger and what belongs to it in PostgreSQL 14 or
// newer (it is tested on 15).
//
// Every write goes through one queue, whose writers commit whatever waits
// together in two round trips: the first begins and runs every guard-and-set
// statement of every member in the order of their keys, the second inserts the
// rows and commits. A member whose guard does not hold is dropped; where it had
// changed something, the batch rolls back and runs again without it.
//
// A batch inserts its unique id. When the connection dies during COMMIT, the
// same id is inserted once more on a new connection: a conflict says that the
// batch was committed, success that it never can be. Nobody gets an answer
// before that is known.
//
// Foreign engines that speak the protocol are left to the operator's reason
// (Options.UnsafeReason); LISTEN/NOTIFY and advisory locks carry no correctness here.
package postgres

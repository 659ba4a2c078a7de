// Package chaos breaks things under load and counts what is left. Its tests run
// the built binary, as a user would, with concurrent ACME clients of
// golang.org/x/crypto/acme that retry as real ones do, and then hold what the
// clients have in their hands against what the store says.
//
// What is proven, each with the fault that it must survive:
//
//   - TestKill: kill -9 of the daemon at random moments under load, on SQLite and
//     on Postgres. TestPostgresDies: the database crashes, is killed and is stopped
//     while the daemon runs on; the daemon resumes by itself.
//   - TestCommitCut: the connection to Postgres breaks while a COMMIT is under way,
//     before the server got it or after it did it. It is settled, not doubled.
//   - TestSyncBeforeReply: the system calls of a daemon on SQLite show that the log's
//     fsync returned before the first octet of the reply to a finalize is written.
//   - TestSyncPerBatch: Postgres' own count of syncs agrees with the daemon's count
//     of commits.
//   - TestDiskFull, TestFileLimit, TestReadOnlyPostgres, TestPostgresDiskFull: the
//     store takes no writes. Clients are told to try later, /readyz says which check
//     fails, and the service resumes by itself once there is room.
//
// After each of them reconcile counts: every certificate that a client holds has
// exactly one row with the same octets, no certificate is there that nobody holds,
// no serial, order or transaction stands for two, every certificate has its
// decision, names and audit row and the other way round, and `audit verify` finds
// the trail whole.
//
// `make chaos` runs the long form; the number of kills is -kills. Without it a
// short form runs, which belongs to `make test`. Everything runs on loopback in
// temporary folders; only processes that a test started are signalled.
//
// Not covered: loss of power (the system-call trace shows what was asked of the
// kernel, not what a disk does), and faults of a disk that lies.
package chaos

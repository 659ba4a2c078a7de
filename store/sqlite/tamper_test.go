package sqlite

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/enrollgate/enrollgate/store/conformance"
)

// tamper does as the owner of the file what the triggers forbid.
func tamper(t *testing.T, path string, how conformance.Tampering) (err error) {
	db := raw(t, path)
	for _, name := range []string{"audit_kept", "audit_final", "batches_kept", "batches_final", "audit_checkpoints_kept", "audit_checkpoints_final"} {
		if _, err := db.Exec("DROP TRIGGER IF EXISTS " + name); err != nil {
			return err
		}
	}
	run := func(statement string, args ...any) error {
		r, err := db.Exec(statement, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errors.New("nothing was changed by: "+statement))
		}
		return nil
	}
	var id []byte
	var first int64
	if how.Seq > 0 {
		err := db.QueryRow("SELECT id, first_row FROM batches WHERE chain = ? AND seq = ?", how.Chain, how.Seq).Scan(&id, &first)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	const rowsFrom = "DELETE FROM audit WHERE batch IN (SELECT id FROM batches WHERE chain = ? AND seq >= ?)"
	switch how.What {
	case conformance.ChangeRow:
		return run("UPDATE audit SET actor = 'operator:somebody-else' WHERE id = ?", first)
	case conformance.RemoveRow:
		return run("DELETE FROM audit WHERE id = ?", first)
	case conformance.SwapRows:
		return errors.Join(run("UPDATE audit SET id = -1 WHERE id = ?", first), run("UPDATE audit SET id = ? WHERE id = ?", first, first+1),
			run("UPDATE audit SET id = ? WHERE id = -1", first+1))
	case conformance.RemoveBatch:
		return errors.Join(run("DELETE FROM audit WHERE batch = ?", id), run("DELETE FROM batches WHERE id = ?", id))
	case conformance.RemoveHead:
		return run("DELETE FROM batches WHERE id = ?", id)
	case conformance.RemoveTail:
		return errors.Join(run(rowsFrom, how.Chain, how.Seq), run("DELETE FROM batches WHERE chain = ? AND seq >= ?", how.Chain, how.Seq))
	case conformance.RemoveChain:
		return errors.Join(run(rowsFrom, how.Chain, 0), run("DELETE FROM batches WHERE chain = ?", how.Chain), run("DELETE FROM chains WHERE chain = ?", how.Chain))
	case conformance.RemoveCheck:
		return run("DELETE FROM audit_checkpoints WHERE number = ?", how.Number)
	case conformance.ForgeCheckpoint:
		return run("UPDATE audit_checkpoints SET hash = ?, signature = ? WHERE number = ?", how.Forged.Hash[:], how.Forged.Signature, how.Number)
	}
	return errors.New("not known: " + how.What)
}

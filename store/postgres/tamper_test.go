package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/store/conformance"
)

// tamper does as the owner of the schema what the triggers forbid.
func tamper(ctx context.Context, owner string, how conformance.Tampering) error {
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, table := range []string{"audit", "batches", "chains", "audit_checkpoints"} {
		if _, err := conn.Exec(ctx, "alter table enrollgate."+table+" disable trigger user"); err != nil {
			return err
		}
	}
	run := func(statement string, args ...any) error {
		tag, err := conn.Exec(ctx, statement, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = errors.New("nothing was changed by: " + statement)
		}
		return err
	}
	const at = " where chain = (select number from enrollgate.chains where name = $1) and seq "
	switch how.What {
	case conformance.ChangeRow:
		return run("update enrollgate.audit set actor = 'operator:somebody-else'"+at+"= $2 and n = (select min(n) from enrollgate.audit"+at+"= $2)", how.Chain, how.Seq)
	case conformance.RemoveRow:
		return run("delete from enrollgate.audit"+at+"= $2 and n = (select min(n) from enrollgate.audit"+at+"= $2)", how.Chain, how.Seq)
	case conformance.SwapRows:
		return errors.Join(run("update enrollgate.audit set n = n + 100"+at+"= $2", how.Chain, how.Seq),
			run("update enrollgate.audit set n = 50 - n"+at+"= $2", how.Chain, how.Seq))
	case conformance.RemoveBatch:
		return errors.Join(run("delete from enrollgate.audit"+at+"= $2", how.Chain, how.Seq), run("delete from enrollgate.batches"+at+"= $2", how.Chain, how.Seq))
	case conformance.RemoveHead:
		return run("delete from enrollgate.batches"+at+"= $2", how.Chain, how.Seq)
	case conformance.RemoveTail:
		return errors.Join(run("delete from enrollgate.audit"+at+">= $2", how.Chain, how.Seq), run("delete from enrollgate.batches"+at+">= $2", how.Chain, how.Seq))
	case conformance.RemoveChain:
		return errors.Join(run("delete from enrollgate.audit"+at+"> 0", how.Chain), run("delete from enrollgate.batches"+at+"> 0", how.Chain),
			run("delete from enrollgate.chains where name = $1", how.Chain))
	case conformance.RemoveCheck:
		return run("delete from enrollgate.audit_checkpoints where number = $1", how.Number)
	case conformance.ForgeCheckpoint:
		return run("update enrollgate.audit_checkpoints set hash = $2, signature = $3 where number = $1", how.Number, how.Forged.Hash[:], how.Forged.Signature)
	}
	return errors.New("not known: " + how.What)
}

-- A revocation is final, but for one thing that may be learned later: that the
-- key is compromised. When it took place stays. Until now the statements alone
-- saw to that.

-- +goose Up

-- +goose StatementBegin
create function enrollgate.keep_revocation() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    if new.state = 'revoked' and new.reason = 1 and new.at = old.at
        and new.tenant = old.tenant and new.ca = old.ca and new.serial = old.serial then
        return new;
    end if;
    raise exception 'a revocation is final: only a hold may change, and the reason to keyCompromise'
        using errcode = 'insufficient_privilege';
end $$;
-- +goose StatementEnd

create trigger keep before update on enrollgate.revocations for each row
    when (old.state = 'revoked') execute function enrollgate.keep_revocation();

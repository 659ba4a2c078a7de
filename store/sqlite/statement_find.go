package sqlite

// The search of certificates: what drives a statement is written into it, the
// other filters hold besides. ?14 is the limit; ?15 to ?17 are for names alone.
const (
	findColumns = `SELECT c.serial, c.der, c.not_before, c.not_after, c.profile, c.requester, c.endpoint, c.trace, c.issued_at,
		coalesce(r.state, 'issued') FROM `
	findWhere = ` LEFT JOIN revocations r USING (tenant, ca, month, serial)
		WHERE c.tenant = ?1 AND c.ca = ?2 AND c.month BETWEEN ?3 AND ?4 AND c.serial BETWEEN ?5 AND ?6
		AND (?7 IS NULL OR c.not_after >= ?7) AND (?8 IS NULL OR c.not_after < ?8) AND (?9 IS NULL OR c.profile = ?9)
		AND (?10 IS NULL OR c.requester = ?10) AND (?11 IS NULL OR c.subject = ?11) AND (?12 IS NULL OR c.key_id = ?12)
		AND (?13 IS NULL OR coalesce(r.state, 'issued') = ?13)`
	findOrder = ` ORDER BY c.month, c.serial LIMIT ?14`
)

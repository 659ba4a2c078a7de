// Package foreign keeps the CRLs of CAs that are not ours, for answering OCSP
// from them: one replica fetches a list, checks it (RFC 5280 section 6.3.3) and
// records it; every replica reads the newest one from the store.
//
// Left out: delta CRLs, indirect CRLs, lists for one distribution point or only
// some kinds of certificates or reasons, and LDAP.
package foreign

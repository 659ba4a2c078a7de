package ca

// Installation stands where a tenant's id does in audit rows of what belongs to
// no tenant: sealing keys, the configuration, the audit trail itself. No tenant
// has this id: "*" is not among the characters of one.
const Installation = "*"

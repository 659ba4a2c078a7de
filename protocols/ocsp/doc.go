// Package ocsp publishes how certificates stand over plain http: RFC 6960
// appendix A with the profile of RFC 5019, GET, HEAD and POST at
// /ocsp/TENANT/CA. Errors are OCSP answers with status 200, which is what
// clients understand.
//
// Left out: OCSP over anything but HTTP, and signed requests as a condition.
package ocsp

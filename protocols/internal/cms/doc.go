// Package cms reads and writes the Cryptographic Message Syntax that the doors
// share: SignedData (RFC 5652 section 5), EnvelopedData (section 6) and
// AuthEnvelopedData with AES-GCM (RFC 5083, RFC 5084).
//
// What comes in may be BER: DER turns it into DER first, within bounds of size,
// depth and number of elements, and everything after that reads DER alone. What
// goes out is DER.
//
// Signatures are RSA with PKCS #1 v1.5 and PSS (RFC 4056, RFC 5754), ECDSA on
// P-256, P-384 and P-521 (RFC 5753) and Ed25519 (RFC 8419). Recipients are RSA
// with PKCS #1 v1.5 and OAEP (RFC 3370, RFC 3560), ephemeral-static ECDH on the
// same curves (RFC 5753), key-encryption keys under AES key wrap (RFC 3394, RFC
// 3565) and passwords (RFC 3211 and, as CMP has it, AES key wrap under PBKDF2: RFC
// 9481 sections 4.3 and 4.4). Content is under AES-CBC, AES-GCM and, where a Floor
// grants them, Triple DES and DES.
//
// Decryption closes padding oracles: once a recipient is found, every failure
// is the value ErrDecrypt after the same operations (RFC 3218). See
// Envelope.Decrypt for what that asks of a caller.
//
// The package knows no policy but the Floor it is handed, and no meaning of a
// content type or an attribute beyond content-type and message-digest: SCEP's
// attributes, CMP's keys and the asymmetric key package (RFC 5958) are the
// callers' object identifiers and bytes.
//
// Left out: DigestedData, EncryptedData, AuthenticatedData and CompressedData;
// detached content; countersignatures; attribute certificates and certificates
// and CRLs of other formats, which are passed over; ECMQV, X25519 and KEM
// recipients; AES-CCM; RC2; AES-GCM in a plain EnvelopedData; the content of
// PKCS #7 version 1.5 that is not an OCTET STRING (RFC 5652 section 5.2.1);
// constructed strings other than OCTET STRING, tag numbers above 30; the
// validation of certificates, which is the caller's.
package cms

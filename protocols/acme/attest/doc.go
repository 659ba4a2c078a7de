// Package attest checks the attestations of devices that device-attest-01 takes
// (draft-ietf-acme-device-attest-10): the attestation object of WebAuthn Level 3
// section 6.5.4 with the modifications of the draft's section 5. What is signed is
// the key authorization (apple: the token); authData is ignored.
//
// Formats: apple (Managed Device Attestation), tpm (WebAuthn section 8.3, TPM 2.0),
// packed (WebAuthn section 8.2 with a certificate) and step (packed as deployed
// clients of PIV tokens send it). A format counts where roots for it are configured.
// Left out: android-key and the other registered formats, attestation without a
// certificate, SHA-1 anywhere, the revocation status of attestation certificates.
package attest

package est

import (
	"net/http"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Object identifiers of CMC: content types (RFC 5272 section 3.2) and controls
// (section 6) below id-pkix.
var (
	oidPKIData     = pkix.OID{1, 3, 6, 1, 5, 5, 7, 12, 2}
	oidPKIResponse = pkix.OID{1, 3, 6, 1, 5, 5, 7, 12, 3}

	oidDataReturn     = cmcControl(4)
	oidTransactionID  = cmcControl(5)
	oidSenderNonce    = cmcControl(6)
	oidRecipientNonce = cmcControl(7)
	oidRegInfo        = cmcControl(18)
	oidQueryPending   = cmcControl(21)
	oidStatusInfoV2   = cmcControl(25)
)

func cmcControl(n int) pkix.OID { return pkix.OID{1, 3, 6, 1, 5, 5, 7, 7, n} }

// cmcStatus is CMCStatus (RFC 5272 section 6.1.3).
type cmcStatus int64

const (
	cmcSuccess   cmcStatus = 0
	cmcFailed    cmcStatus = 2
	cmcPending   cmcStatus = 3
	cmcNoSupport cmcStatus = 4
)

// failInfo is CMCFailInfo (RFC 5272 section 6.1.4).
type failInfo int64

const (
	failBadAlg          failInfo = 0
	failBadMessageCheck failInfo = 1
	failBadRequest      failInfo = 2
	failBadCertID       failInfo = 4
	failBadIdentity     failInfo = 7
	failPOPFailed       failInfo = 9
	failInternal        failInfo = 11
	failTryLater        failInfo = 12
)

// fault is a refusal in the terms of CMC.
type fault struct {
	*httpx.Refusal
	status cmcStatus
	info   failInfo
	part   uint32 // body part that it is about; 0: the message
}

func (f *fault) Unwrap() error { return f.Refusal }

// faulty makes a refusal of a message.
func faulty(info failInfo, part uint32, format string, args ...any) *fault {
	return &fault{httpx.Fail(http.StatusBadRequest, format, args...), cmcFailed, info, part}
}

// unsupported refuses a part that is well-formed and left out here.
func unsupported(part uint32, format string, args ...any) *fault {
	return &fault{httpx.Fail(http.StatusBadRequest, format, args...), cmcNoSupport, failBadRequest, part}
}

// infoOf is what the core's refusals are in the terms of CMC.
var infoOf = map[ca.Kind]failInfo{
	ca.Internal:    failInternal,
	ca.BadRequest:  failBadRequest,
	ca.BadProof:    failPOPFailed,
	ca.Denied:      failBadRequest,
	ca.NotFound:    failBadCertID,
	ca.Conflict:    failBadRequest,
	ca.RateLimited: failTryLater,
	ca.Unavailable: failTryLater,
}

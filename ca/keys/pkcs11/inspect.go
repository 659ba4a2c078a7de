//go:build cgo

package pkcs11

import (
	"context"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// Inspect lists the initialised tokens of a module with what they can do. It
// logs in nowhere. The module must not be in use by a Backend of this process,
// which would find it finalised afterwards: ask its Backend then.
func Inspect(ctx context.Context, module string) (_ []Info, err error) {
	b := New(Options{Modules: []string{module}})
	defer func() {
		if closed := b.Close(); err == nil {
			err = closed
		}
	}()
	return b.Inspect(ctx, module)
}

// Inspect lists the initialised tokens of a module that may be loaded.
func (b *Backend) Inspect(_ context.Context, path string) ([]Info, error) {
	m, err := b.module(path)
	if err != nil {
		return nil, err
	}
	var out []Info
	err = m.call(b.options.Stuck, func() (err error) {
		out, err = m.inspect()
		return err
	})
	if err != nil {
		return nil, unavailable("of "+path, err)
	}
	return out, nil
}

func (m *module) inspect() ([]Info, error) {
	library, err := m.ctx.GetInfo()
	if err != nil {
		return nil, callError("C_GetInfo", err)
	}
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return nil, callError("C_GetSlotList", err)
	}
	var out []Info
	for _, slot := range slots {
		token, err := m.ctx.GetTokenInfo(slot)
		if err != nil {
			return nil, callError("C_GetTokenInfo", err)
		}
		if token.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		id := identity(token)
		info := Info{Module: m.path, Slot: slot, Label: id.Token, Manufacturer: id.Manufacturer, Model: id.Model, Serial: id.Serial,
			Library:       fmt.Sprintf("%s %d.%d", library.LibraryDescription, library.LibraryVersion.Major, library.LibraryVersion.Minor),
			Firmware:      fmt.Sprintf("%d.%d", token.FirmwareVersion.Major, token.FirmwareVersion.Minor),
			LoginRequired: token.Flags&p11.CKF_LOGIN_REQUIRED != 0, WriteProtected: token.Flags&p11.CKF_WRITE_PROTECTED != 0,
			PINInitialized: token.Flags&p11.CKF_USER_PIN_INITIALIZED != 0, PINLow: token.Flags&p11.CKF_USER_PIN_COUNT_LOW != 0,
			PINLast: token.Flags&p11.CKF_USER_PIN_FINAL_TRY != 0, Locked: token.Flags&p11.CKF_USER_PIN_LOCKED != 0,
			MaxSessions: said(token.MaxSessionCount), Sessions: said(token.SessionCount)}
		if err := m.capabilities(&info); err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// said is a number, 0 for "no limit" and "not telling".
func said(n uint) uint {
	if n == p11.CK_UNAVAILABLE_INFORMATION {
		return 0
	}
	return n
}

// capabilities fills in the mechanisms and what can be done with them.
func (m *module) capabilities(info *Info) error {
	list, err := m.ctx.GetMechanismList(info.Slot)
	if err != nil {
		return callError("C_GetMechanismList", err)
	}
	has := map[uint]Mechanism{}
	for _, mechanism := range list {
		i, err := m.ctx.GetMechanismInfo(info.Slot, []*p11.Mechanism{mechanism})
		if err != nil {
			return callError("C_GetMechanismInfo", err)
		}
		entry := Mechanism{Name: mechanismName(mechanism.Mechanism), MinKey: i.MinKeySize, MaxKey: i.MaxKeySize,
			Sign: i.Flags&p11.CKF_SIGN != 0, Decrypt: i.Flags&p11.CKF_DECRYPT != 0, Generate: i.Flags&p11.CKF_GENERATE_KEY_PAIR != 0}
		has[mechanism.Mechanism] = entry
		info.Mechanisms = append(info.Mechanisms, entry)
	}
	for _, name := range keys.Algorithms() {
		create, sign := uint(p11.CKM_EC_KEY_PAIR_GEN), uint(p11.CKM_ECDSA)
		var bits uint
		switch name {
		case "ed25519":
			create, sign, bits = ckmECEdwardsKeyPairGen, ckmEdDSA, 255
		default:
			if n, err := fmt.Sscanf(name, "rsa-%d", &bits); n == 1 && err == nil {
				create, sign = p11.CKM_RSA_PKCS_KEY_PAIR_GEN, p11.CKM_RSA_PKCS
			} else if n, err := fmt.Sscanf(name, "ecdsa-p%d", &bits); n != 1 || err != nil {
				continue // an algorithm that no token makes
			}
		}
		if g := has[create]; g.Generate && has[sign].Sign && (g.MaxKey == 0 || bits <= g.MaxKey) {
			info.Algorithms = append(info.Algorithms, name)
		}
	}
	slices.SortFunc(info.Mechanisms, func(a, b Mechanism) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return nil
}

// mechanismName names the mechanisms that matter here; others are numbers.
func mechanismName(typ uint) string {
	for name, known := range map[string]uint{"CKM_RSA_PKCS": p11.CKM_RSA_PKCS, "CKM_RSA_PKCS_PSS": p11.CKM_RSA_PKCS_PSS,
		"CKM_RSA_PKCS_OAEP": p11.CKM_RSA_PKCS_OAEP, "CKM_RSA_PKCS_KEY_PAIR_GEN": p11.CKM_RSA_PKCS_KEY_PAIR_GEN,
		"CKM_ECDSA": p11.CKM_ECDSA, "CKM_EC_KEY_PAIR_GEN": p11.CKM_EC_KEY_PAIR_GEN, "CKM_EDDSA": ckmEdDSA,
		"CKM_EC_EDWARDS_KEY_PAIR_GEN": ckmECEdwardsKeyPairGen} {
		if known == typ {
			return name
		}
	}
	return fmt.Sprintf("0x%08X", typ)
}

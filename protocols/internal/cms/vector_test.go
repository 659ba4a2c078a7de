package cms

import (
	"bytes"
	"testing"
)

// RFC 3394 sections 4.1, 4.4 and 4.6.
func TestKeyWrapVectors(t *testing.T) {
	for _, c := range []struct{ kek, key, wrapped string }{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, key, wrapped := unhex(t, c.kek), unhex(t, c.key), unhex(t, c.wrapped)
		if got := must[[]byte](t)(wrapKey(kek, key)); !bytes.Equal(got, wrapped) {
			t.Errorf("wrapped %x", got)
		}
		block, err := newBlock(kindAES, kek)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := unwrapKey(block, wrapped, len(key)); ok != 1 || !bytes.Equal(got, key) {
			t.Errorf("unwrapped %x, %d", got, ok)
		}
		if got, ok := unwrapKey(block, wrapped, len(key)+8); ok != 0 || len(got) != len(key)+8 {
			t.Errorf("unwrapped to another length %x, %d", got, ok)
		}
	}
}

// RFC 3211 section 3, the second of both.
func TestPWRIVector(t *testing.T) {
	kek := unhex(t, "6A8970BF68C92CAEA84A8DF28510858607126380CC47AB2D")
	key := unhex(t, "8C637D887223A2F965B566EB014B0FA5D52300A3F7EA40FFFC577203C71BAF3B")
	block, err := newBlock(kindDES3, kek)
	if err != nil {
		t.Fatal(err)
	}
	iv, wrapped := unhex(t, "BAF1CA7931213C4E"), unhex(t, "C03C514ABDB9E2C5AAC038572B5E24553876B377AAFB82ECA5A9D73F8AB143D9EC74E6CAD7DB260C")
	if got, ok := unwrapPWRI(block, iv, wrapped, len(key)); ok != 1 || !bytes.Equal(got, key) {
		t.Errorf("unwrapped %x, %d", got, ok)
	}
	if got, ok := unwrapPWRI(block, iv, wrapped, 16); ok != 0 || len(got) != 16 {
		t.Errorf("unwrapped to another length %x, %d", got, ok)
	}
	again := wrapPWRI(block, iv, key)
	if got, ok := unwrapPWRI(block, iv, again, len(key)); ok != 1 || !bytes.Equal(got, key) {
		t.Errorf("ours unwrapped %x, %d", got, ok)
	}
}

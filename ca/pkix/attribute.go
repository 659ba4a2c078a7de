package pkix

import (
	"bytes"
	"slices"
	"strings"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

type attributeSpec struct {
	name string
	oid  OID
	tag  uint8 // 0: UTF8String
	max  int   // upper bound in characters, 0: none given (RFC 5280 appendix A.1)
}

// attributeTable lists the subject attributes that configuration can name. The
// first name of each row is the one printed; further names are aliases.
var attributeTable = []struct {
	names []string
	oid   OID
	tag   casn1.Tag
	max   int
}{
	{[]string{"CN", "CommonName"}, OID{2, 5, 4, 3}, 0, 64},
	{[]string{"SN", "SurName"}, OID{2, 5, 4, 4}, 0, 40},
	{[]string{"SERIALNUMBER", "DeviceSerialNumber"}, OID{2, 5, 4, 5}, casn1.PrintableString, 64},
	{[]string{"C", "Country"}, OID{2, 5, 4, 6}, casn1.PrintableString, 2},
	{[]string{"L", "Locality"}, OID{2, 5, 4, 7}, 0, 128},
	{[]string{"ST", "S", "State"}, OID{2, 5, 4, 8}, 0, 128},
	{[]string{"STREET", "StreetAddress"}, OID{2, 5, 4, 9}, 0, 128},
	{[]string{"O", "Org", "Organization"}, OID{2, 5, 4, 10}, 0, 64},
	{[]string{"OU", "OrganizationalUnit", "OrganizationUnit", "OrgUnit"}, OID{2, 5, 4, 11}, 0, 64},
	{[]string{"T", "Title"}, OID{2, 5, 4, 12}, 0, 64},
	{[]string{"BUSINESSCATEGORY"}, OID{2, 5, 4, 15}, 0, 128},
	{[]string{"POSTALCODE"}, OID{2, 5, 4, 17}, 0, 40},
	{[]string{"givenName", "G"}, OID{2, 5, 4, 42}, 0, 16},
	{[]string{"I", "Initials"}, OID{2, 5, 4, 43}, 0, 5},
	{[]string{"DNQUALIFIER"}, OID{2, 5, 4, 46}, casn1.PrintableString, 64},
	{[]string{"ORGANIZATIONIDENTIFIER"}, OID{2, 5, 4, 97}, 0, 0},
	{[]string{"UID"}, OID{0, 9, 2342, 19200300, 100, 1, 1}, 0, 256},
	{[]string{"DC", "DomainComponent"}, OID{0, 9, 2342, 19200300, 100, 1, 25}, casn1.IA5String, 63},
	{[]string{"Email", "E"}, OID{1, 2, 840, 113549, 1, 9, 1}, casn1.IA5String, 255},
	{[]string{"unstructuredName"}, OID{1, 2, 840, 113549, 1, 9, 2}, 0, 255},
	{[]string{"unstructuredAddress"}, OID{1, 2, 840, 113549, 1, 9, 8}, 0, 255},
	{[]string{"JurisdictionOfIncorporationLocalityName"}, OID{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1}, 0, 128},
	{[]string{"JurisdictionOfIncorporationStateOrProvinceName"}, OID{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2}, 0, 128},
	{[]string{"JurisdictionOfIncorporationCountryName"}, OID{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3}, casn1.PrintableString, 2},
	{[]string{"TrademarkOfficeName"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 2}, 0, 0},
	{[]string{"TrademarkCountryOrRegionName"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 3}, casn1.PrintableString, 2},
	{[]string{"TrademarkRegistration"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 4}, 0, 0},
	{[]string{"LegalEntityIdentifier"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 5}, 0, 0},
	{[]string{"WordMark"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 6}, 0, 0},
	{[]string{"MarkType"}, OID{1, 3, 6, 1, 4, 1, 53087, 1, 13}, 0, 0},
	{[]string{"StatuteCountryName"}, OID{1, 3, 6, 1, 4, 1, 53087, 3, 2}, casn1.PrintableString, 2},
	{[]string{"StatuteStateOrProvinceName"}, OID{1, 3, 6, 1, 4, 1, 53087, 3, 3}, 0, 0},
	{[]string{"StatuteLocalityName"}, OID{1, 3, 6, 1, 4, 1, 53087, 3, 4}, 0, 0},
	{[]string{"StatuteCitation"}, OID{1, 3, 6, 1, 4, 1, 53087, 3, 5}, 0, 0},
	{[]string{"StatuteURL"}, OID{1, 3, 6, 1, 4, 1, 53087, 3, 6}, 0, 0},
}

var (
	attributeSpecs  = map[string]attributeSpec{} // by dotted OID
	attributeByName = map[string]OID{}           // by lower-case name or alias
)

func init() {
	for _, row := range attributeTable {
		attributeSpecs[row.oid.String()] = attributeSpec{name: row.names[0], oid: row.oid, tag: uint8(row.tag), max: row.max}
		for _, n := range row.names {
			attributeByName[strings.ToLower(n)] = row.oid
		}
	}
}

// AttributeOID finds a subject attribute by one of its names (any case) or its dotted OID.
func AttributeOID(name string) (OID, bool) {
	if oid, ok := attributeByName[strings.ToLower(name)]; ok {
		return oid, true
	}
	return ParseOID(name)
}

// AttributeName gives the short name of a subject attribute, or its dotted OID.
func AttributeName(oid OID) string {
	if spec, ok := attributeSpecs[oid.String()]; ok {
		return spec.name
	}
	return oid.String()
}

// AttributeNames lists the printed name of every attribute of the table, in table order.
func AttributeNames() []string {
	names := make([]string, len(attributeTable))
	for i, row := range attributeTable {
		names[i] = row.names[0]
	}
	return names
}

// sortDER orders encodings as DER demands of a SET OF (X.690 section 11.6).
func sortDER(encoded [][]byte) { slices.SortFunc(encoded, bytes.Compare) }

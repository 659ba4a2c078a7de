package ruleset

import "maps"

// Rules lists the included rules by name, with what they read.
func Rules() map[string]Reads {
	rules := make(map[string]Reads, len(ofShape)+len(ofValues))
	for _, name := range ofShape {
		rules[name] = Shape
	}
	for _, name := range ofValues {
		rules[name] = Values
	}
	return rules
}

// Advice lists the checks of ca/lint itself that only warn, so that a profile
// may say what becomes of their findings.
func Advice() []string { return []string{"usage-purpose"} }

// Disabled gives, for each rule of the sources that is left out, why.
func Disabled() map[string]string { return maps.Clone(disabled) }

// OtherSources gives, for each of zlint's sources that is left out whole, why.
func OtherSources() map[string]string { return maps.Clone(otherSources) }

// Sources are the zlint sources that rules are taken from.
func Sources() []string {
	return []string{"RFC3279", "RFC5280", "RFC5480", "RFC5891", "RFC8813", "Community"}
}

var otherSources = map[string]string{
	"CABF_BR":       "the Baseline Requirements bind publicly trusted TLS certificates",
	"CABF_SMIME_BR": "they bind publicly trusted S/MIME certificates",
	"CABF_EV":       "extended validation is a matter of public trust",
	"Mozilla":       "that root program's policy",
	"Apple":         "that root program's policy",
	"ETSI_ESI":      "qualified certificates of European trust services",
}

var disabled = map[string]string{
	"e_rfc_dnsname_underscore_in_sld":                 "names of private networks hold underscores (Windows hosts, service labels); it fires only below public suffixes",
	"w_rfc_dnsname_underscore_in_trd":                 "as e_rfc_dnsname_underscore_in_sld",
	"e_ext_san_uri_host_not_fqdn_or_ip":               "refuses ports, IPv6 addresses and hosts of one label; the own check san-uri holds RFC 5280 section 4.2.1.6",
	"e_key_usage_and_extended_key_usage_inconsistent": "takes the bits that RFC 5280 section 4.2.1.12 names as examples for the only ones, and for several purposes its verdict follows the order of a Go map; the own check usage-purpose holds that section",
	"e_subject_dn_not_printable_characters":           "reads the octets of a BMPString as UTF-8; the own check subject-attribute decodes by string type",
	"n_san_iana_pub_suffix_empty":                     "names of private networks are under no public suffix",
	"w_ian_iana_pub_suffix_empty":                     "as n_san_iana_pub_suffix_empty",
}

// ofShape are the rules whose verdict the shape alone decides.
var ofShape = []string{
	"e_basic_constraints_not_critical", "e_ca_subject_field_empty", "e_cert_contains_unique_identifier", "e_cert_extensions_version_not_3",
	"e_cert_sig_alg_not_match_tbs_sig_alg", "e_cert_unique_identifier_version_not_2_or_3", "e_distribution_point_incomplete", "e_ecdsa_allowed_ku",
	"e_ext_aia_marked_critical", "e_ext_authority_key_identifier_critical", "e_ext_authority_key_identifier_no_key_identifier",
	"e_ext_cert_policy_disallowed_any_policy_qualifier", "e_ext_cert_policy_duplicate", "e_ext_cert_policy_explicit_text_ia5_string",
	"e_ext_cert_policy_explicit_text_too_long", "e_ext_duplicate_extension", "e_ext_freshest_crl_marked_critical", "e_ext_ian_dns_not_ia5_string",
	"e_ext_ian_empty_name", "e_ext_ian_no_entries", "e_ext_ian_rfc822_format_invalid", "e_ext_ian_space_dns_name", "e_ext_ian_uri_format_invalid",
	"e_ext_ian_uri_host_not_fqdn_or_ip", "e_ext_ian_uri_not_ia5", "e_ext_ian_uri_relative", "e_ext_key_usage_cert_sign_without_ca",
	"e_ext_key_usage_without_bits", "e_ext_name_constraints_not_critical", "e_ext_name_constraints_not_in_ca", "e_ext_policy_constraints_empty",
	"e_ext_policy_constraints_not_critical", "e_ext_policy_map_any_policy", "e_ext_san_no_entries", "e_ext_san_not_critical_without_subject",
	"e_ext_subject_directory_attr_critical", "e_ext_subject_key_identifier_critical", "e_ext_subject_key_identifier_missing_ca", "e_ian_bare_wildcard",
	"e_ian_dns_name_includes_null_char", "e_ian_dns_name_starts_with_period", "e_ian_wildcard_not_first", "e_incorrect_ku_encoding",
	"e_inhibit_any_policy_not_critical", "e_issuer_dn_country_not_printable_string", "e_issuer_field_empty", "e_key_usage_incorrect_length",
	"e_name_constraint_empty", "e_name_constraint_maximum_not_absent", "e_name_constraint_minimum_non_zero", "e_name_constraint_not_fqdn",
	"e_path_len_constraint_improperly_included", "e_path_len_constraint_zero_or_less", "e_rsa_allowed_ku_ca", "e_rsa_allowed_ku_ee",
	"e_rsa_allowed_ku_no_encipherment_ca", "e_spki_rsa_encryption_parameter_not_null",
	"e_subject_empty_without_san", "e_subject_info_access_marked_critical", "e_subject_not_dn",
	"e_superfluous_ku_encoding", "e_tbs_signature_rsa_encryption_parameter_not_null", "n_ecdsa_ee_invalid_ku", "n_multiple_subject_rdn",
	"w_distribution_point_missing_ldap_or_uri", "w_eku_critical_improperly", "w_ext_aia_access_location_missing",
	"w_ext_cert_policy_contains_noticeref", "w_ext_cert_policy_explicit_text_includes_control", "w_ext_cert_policy_explicit_text_not_nfc",
	"w_ext_cert_policy_explicit_text_not_utf8", "w_ext_crl_distribution_marked_critical", "w_ext_ian_critical", "w_ext_key_usage_not_critical",
	"w_ext_policy_map_not_critical", "w_ext_policy_map_not_in_cert_policy", "w_ext_subject_key_identifier_missing_sub_cert",
	"w_issuer_dn_leading_whitespace", "w_issuer_dn_trailing_whitespace", "w_multiple_issuer_rdn", "w_name_constraint_on_edi_party_name",
	"w_name_constraint_on_registered_id", "w_name_constraint_on_x400",
}

// ofValues are the rules that read serial, dates, key bits, or values of the
// subject or of subjectAltName.
var ofValues = []string{
	"e_ext_san_dns_name_too_long", "e_ext_san_dns_not_ia5_string", "e_ext_san_empty_name", "e_ext_san_rfc822_format_invalid",
	"e_ext_san_space_dns_name", "e_ext_san_uri_format_invalid", "e_ext_san_uri_not_ia5", "e_ext_san_uri_relative",
	"e_generalized_time_does_not_include_seconds", "e_generalized_time_includes_fraction_seconds", "e_generalized_time_not_in_zulu",
	"e_international_dns_name_not_nfc", "e_international_dns_name_not_unicode", "e_rfc_dnsname_empty_label", "e_rfc_dnsname_hyphen_in_sld",
	"e_rfc_dnsname_label_too_long", "e_rsa_exp_negative", "e_rsa_fermat_factorization", "e_rsa_no_public_key", "e_san_bare_wildcard",
	"e_san_dns_name_includes_null_char", "e_san_dns_name_starts_with_period", "e_san_wildcard_not_first", "e_serial_number_longer_than_20_octets",
	"e_serial_number_not_positive", "e_subject_common_name_max_length", "e_subject_dn_serial_number_max_length", "e_subject_email_max_length",
	"e_subject_given_name_max_length", "e_subject_locality_name_max_length", "e_subject_organization_name_max_length",
	"e_subject_organizational_unit_name_max_length", "e_subject_postal_code_max_length", "e_subject_printable_string_badalpha",
	"e_subject_state_name_max_length", "e_subject_street_address_max_length", "e_subject_surname_max_length", "e_utc_time_does_not_include_seconds",
	"e_utc_time_not_in_zulu", "e_validity_time_not_positive", "e_wrong_time_format_pre2050", "n_contains_redacted_dnsname", "n_san_dns_name_duplicate",
	"w_subject_dn_leading_whitespace", "w_subject_dn_trailing_whitespace", "w_subject_given_name_recommended_max_length",
	"w_subject_surname_recommended_max_length",
	"e_subject_dn_serial_number_not_printable_string",
	"e_subject_dn_country_not_printable_string",
}

#!/bin/sh
# Makes the fixtures of this folder anew with the openssl program (3.0.19 made
# those that are here). The keys are for tests and for nothing else.
set -eu
cd "$(dirname "$0")"
rm -f ./*.der ./*.pem ./content

awk 'BEGIN { for (i = 0; i < 60; i++) printf "line %d of the content\n", i }' >content
cert() { # name, arguments of req
	name=$1; shift
	openssl req -x509 -nodes -days 36500 -subj "/O=Fixture/CN=$name" -keyout "$name.key.pem" -out "$name.pem" "$@" 2>/dev/null
}
cert rsa -newkey rsa:2048
for c in 256 384 521; do cert "p$c" -newkey ec -pkeyopt "ec_paramgen_curve:P-$c"; done
openssl crl2pkcs7 -nocrl -certfile rsa.pem -certfile p256.pem -outform DER -out degenerate.der

sign() { # name, key, further arguments
	name=$1 key=$2; shift 2
	openssl cms -sign -binary -nodetach -in content -outform DER -out "sign-$name.der" -signer "$key.pem" -inkey "$key.key.pem" "$@"
}
sign rsa rsa
sign rsa-stream rsa -stream
sign rsa-keyid rsa -keyid
sign rsa-noattr rsa -noattr
sign rsa-nocerts rsa -nocerts
sign rsa-sha384 rsa -md sha384
sign rsa-sha512 rsa -md sha512
sign rsa-sha1 rsa -md sha1
sign rsa-md5 rsa -md md5
sign rsa-type rsa -econtent_type 1.2.840.113549.1.9.16.1.25
sign rsa-cades rsa -cades
sign rsa-pss rsa -keyopt rsa_padding_mode:pss -md sha256
sign rsa-pss-sha512 rsa -keyopt rsa_padding_mode:pss -md sha512
sign p256 p256 -md sha256
sign p384 p384 -md sha384 -stream
sign p521 p521 -md sha512 -keyid
openssl cms -sign -binary -nodetach -in content -outform DER -out sign-two.der \
	-signer rsa.pem -inkey rsa.key.pem -signer p256.pem -inkey p256.key.pem -md sha256

encrypt() { # name, further arguments
	name=$1; shift
	openssl cms -encrypt -binary -in content -outform DER -out "encrypt-$name.der" "$@"
}
for c in aes-128-cbc aes-192-cbc aes-256-cbc aes-128-gcm aes-192-gcm aes-256-gcm des-ede3-cbc; do encrypt "rsa-$c" "-$c" rsa.pem; done
encrypt rsa-des-cbc -des-cbc -provider legacy -provider default rsa.pem
encrypt rsa-stream -aes-128-cbc -stream rsa.pem
encrypt rsa-gcm-stream -aes-128-gcm -stream rsa.pem
encrypt rsa-keyid -aes-128-cbc -keyid rsa.pem
encrypt rsa-oaep -aes-128-cbc -recip rsa.pem -keyopt rsa_padding_mode:oaep
encrypt rsa-oaep-sha256 -aes-256-cbc -recip rsa.pem -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
encrypt p256 -aes-128-cbc -aes128-wrap -recip p256.pem -keyopt ecdh_kdf_md:sha256
encrypt p256-sha1 -aes-128-cbc -recip p256.pem
encrypt p256-cofactor -aes-128-cbc -aes128-wrap -recip p256.pem -keyopt ecdh_kdf_md:sha256 -keyopt ecdh_cofactor_mode:1
encrypt p384 -aes-192-cbc -aes192-wrap -keyid -stream -recip p384.pem -keyopt ecdh_kdf_md:sha384
encrypt p521 -aes-256-gcm -aes256-wrap -recip p521.pem -keyopt ecdh_kdf_md:sha512
encrypt kek128 -aes-128-cbc -secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid c0ffee
encrypt kek192 -aes-192-cbc -secretkey 000102030405060708090a0b0c0d0e0f1011121314151617 -secretkeyid c0ffee
encrypt kek256 -aes-256-cbc -stream -secretkey 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -secretkeyid c0ffee
encrypt password -aes-256-cbc -pwri_password secret
encrypt password-stream -aes-128-cbc -stream -pwri_password secret
encrypt password-des3 -des-ede3-cbc -pwri_password secret
encrypt several -aes-256-cbc -pwri_password secret -secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid c0ffee \
	-recip p256.pem -keyopt ecdh_kdf_md:sha256 -recip p384.pem -keyopt ecdh_kdf_md:sha256 -recip rsa.pem

#!/usr/bin/env bash
# Installs from apt what the tests start and this machine lacks. When nothing
# is missing it touches neither apt nor the network.
#
# It starts no service: PostgreSQL's package would create and start a cluster
# of its own, so for the time of the installation it is told not to, and
# services that the packages bring along are held back by a policy-rc.d.
set -eu

die() { echo "install.sh: $*" >&2; exit 1; }

has_postgres() {
	for bin in /usr/lib/postgresql/*/bin; do
		[ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && return 0
	done
	command -v initdb >/dev/null && command -v postgres >/dev/null
}

# A compiler alone is not enough for the race detector: it needs libc's headers.
has_cc() {
	command -v gcc >/dev/null && echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1
}

# Servers lie in /usr/sbin, which is not in everybody's PATH.
has_server() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

# mod_md is part of Debian's apache2-bin.
has_apache() { has_server apache2 && [ -e /usr/lib/apache2/modules/mod_md.so ]; }

missing=()
for tool in certbot openssl curl git make strace; do
	command -v "$tool" >/dev/null || missing+=("$tool")
done
has_cc || missing+=(gcc libc6-dev)
has_postgres || missing+=(postgresql)
has_server nginx || missing+=(nginx)
has_apache || missing+=(apache2)
command -v caddy >/dev/null || missing+=(caddy)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v prlimit >/dev/null && command -v unshare >/dev/null || missing+=(util-linux)
command -v mount >/dev/null || missing+=(mount)
[ -n "$(compgen -G '/usr/lib/softhsm/libsofthsm2.so')$(compgen -G '/usr/lib/*/softhsm/libsofthsm2.so')" ] && command -v softhsm2-util >/dev/null || missing+=(softhsm2)
command -v p11-kit >/dev/null || missing+=(p11-kit)
[ -n "$(compgen -G '/usr/lib/*/pkcs11/p11-kit-client.so')" ] || missing+=(p11-kit-modules)
command -v pkcs11-tool >/dev/null || missing+=(opensc)
command -v ocsptool >/dev/null || missing+=(gnutls-bin)
command -v pki >/dev/null || missing+=(strongswan-pki)
[ -e /usr/lib/ipsec/plugins/libstrongswan-curl.so ] || missing+=(libstrongswan-extra-plugins) # how pki speaks HTTP
[ -e /usr/lib/ipsec/plugins/libstrongswan-openssl.so ] || missing+=(libstrongswan-standard-plugins) # what it makes keys and messages with
[ -x /usr/lib/certmonger/certmonger-session ] || missing+=(certmonger)
command -v systemd-analyze >/dev/null || missing+=(systemd) # verifies the unit; nothing is started
[ ${#missing[@]} -eq 0 ] && exit 0

command -v apt-get >/dev/null || die "missing: ${missing[*]}, and there is no apt-get here; install them by hand"
root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || die "missing: ${missing[*]}; run as root, or install sudo"
	root=(sudo)
fi

echo "install.sh: installing ${missing[*]}"
nocluster=/etc/postgresql-common/createcluster.d/enrollgate-tests.conf
policy=/usr/sbin/policy-rc.d
placed=("$nocluster")
[ -e "$policy" ] || placed+=("$policy")
cleanup() { "${root[@]}" rm -f "${placed[@]}"; }
trap cleanup EXIT
"${root[@]}" mkdir -p "$(dirname "$nocluster")"
echo 'create_main_cluster = false' | "${root[@]}" tee "$nocluster" >/dev/null
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
	"${root[@]}" chmod 755 "$policy"
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update || die "apt-get update failed; the tests need ${missing[*]}"
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null || die "apt-get could not install ${missing[*]}"
has_postgres || die "postgresql is installed, but its initdb and postgres were not found"

package arch_test

// rule says what the packages of one class may import. A new package needs a
// line here first; one that no rule names, or two do, fails the test.
//
// Patterns are paths below the module root: "*" stands for one element,
// "x/..." for x and all below it, "{own}" for the first two elements of the
// importing package (the door's own folder). Patterns in deny, denyDeep and
// only are whole import paths.
type rule struct {
	class     string
	packages  []string
	may       []string // packages of this module
	deny      []string // what no file may import
	denyDeep  []string // what must not be reached through any chain of imports
	only      []string // if set: the only packages from other modules
	testsOnly bool     // _test files and other testsOnly packages alone may import it
}

var (
	sql       = []string{"database/sql/...", "github.com/jackc/pgx/...", "github.com/lib/pq/...", "modernc.org/sqlite/...", "github.com/mattn/go-sqlite3/...", "github.com/pressly/goose/..."}
	transport = join(sql, []string{"net/http/...", "github.com/go-chi/chi/...", "net/rpc/...", "google.golang.org/grpc/..."})
	impure    = []string{"os/...", "io/ioutil", "net", "net/http/...", "syscall", "golang.org/x/sys/...", "math/rand/...", "crypto/rand", "log/...", "runtime/..."}

	leaves = []string{"ca/pkix", "ca/caller", "ca/claim"}
	core   = join(leaves, []string{"ca"})
	kept   = []string{"ca/audit", "ca/credential", "ca/seal", "ca/status"} // parts of the core whose rows the store keeps

	xcrypto = []string{"golang.org/x/crypto/..."}
)

func join(lists ...[]string) (all []string) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var rules = []rule{
	{class: "program", packages: []string{"cmd/enrollgate"},
		may: []string{"config", "probe", "protocols/...", "ca/...", "store/postgres", "store/sqlite", "store/migrations", "store/backup"}},

	// Doors. A door reaches the core and its own folder, never another door or a driver.
	{class: "door", packages: []string{"protocols/acme", "protocols/est", "protocols/scep", "protocols/cmp", "protocols/wstep", "protocols/ocsp", "protocols/crl", "protocols/aia", "protocols/admin"},
		may:  join(core, kept, []string{"ca/keygen", "{own}/...", "protocols/internal/..."}),
		deny: sql, denyDeep: sql},
	{class: "operations", packages: []string{"protocols/operations"},
		may: join(core, []string{"ca/background", "ca/status", "protocols/internal/..."}), deny: sql, denyDeep: sql},
	{class: "before the doors", packages: []string{"protocols/forwarded"}, deny: sql, denyDeep: sql},
	{class: "part of a door", packages: []string{"protocols/acme/va", "protocols/acme/attest", "protocols/crl/fetch"},
		may:  join(core, []string{"{own}/...", "protocols/internal/..."}),
		deny: sql, denyDeep: sql},
	{class: "door's memory", packages: []string{"protocols/acme/recent"},
		may: join(core, []string{"protocols/acme/state"}), deny: sql, denyDeep: join(sql, transport)},
	{class: "door state", packages: []string{"protocols/*/state"},
		may: core, denyDeep: transport, only: xcrypto},
	{class: "wire code", packages: []string{"protocols/internal/*"},
		may: join(core, []string{"protocols/internal/..."}), denyDeep: sql},
	{class: "wire code's double", packages: []string{"protocols/internal/outbound/dnstest"}, testsOnly: true},

	// A client of the gateway: it knows what is on the wire, and nothing behind it.
	{class: "client", packages: []string{"probe"}, may: []string{"ca/pkix"}, deny: sql, denyDeep: sql},

	// The core. What each part may import of the others is the order they are built in.
	{class: "core", packages: []string{"ca"},
		may: leaves, denyDeep: transport, only: []string{"golang.org/x/crypto/cryptobyte/..."}},
	{class: "core leaf", packages: []string{"ca/pkix"}, denyDeep: transport, only: xcrypto},
	{class: "core leaf", packages: []string{"ca/caller"}, may: []string{"ca/pkix"}, denyDeep: transport, only: xcrypto},
	{class: "core leaf", packages: []string{"ca/claim"}, may: []string{"ca/caller", "ca/pkix"}, denyDeep: transport, only: xcrypto},
	{class: "policy", packages: []string{"ca/profile"}, may: join(core, []string{"ca/lint/ruleset"}), deny: impure, denyDeep: transport},
	// zlint's public suffix list can fetch itself over HTTP; nothing here asks it to.
	{class: "lint", packages: []string{"ca/lint"}, may: join(core, []string{"ca/lint/ruleset"}), deny: transport, denyDeep: sql},
	{class: "lint's settings", packages: []string{"ca/lint/ruleset"}, deny: impure, denyDeep: transport},
	{class: "keys", packages: []string{"ca/keys/..."}, may: join(core, []string{"ca/keys/..."}), denyDeep: transport},
	{class: "seal", packages: []string{"ca/seal"}, may: join(core, []string{"ca/keys"}), denyDeep: transport},
	{class: "audit", packages: []string{"ca/audit"}, may: join(core, []string{"ca/seal"}), denyDeep: transport},
	{class: "keygen", packages: []string{"ca/keygen"}, may: join(core, []string{"ca/keys"}), denyDeep: transport},
	{class: "credential", packages: []string{"ca/credential"}, may: join(core, []string{"ca/seal"}), denyDeep: transport},
	{class: "issuer", packages: []string{"ca/issuer"}, may: join(core, []string{"ca/keys"}), denyDeep: transport},
	{class: "status", packages: []string{"ca/status", "ca/status/crl", "ca/status/foreign"}, may: join(core, []string{"ca/keys", "ca/issuer"}), denyDeep: transport},
	{class: "service", packages: []string{"ca/service"},
		may: join(core, []string{"ca/keys", "ca/issuer", "ca/profile", "ca/seal", "ca/status"}), denyDeep: transport},
	{class: "hierarchy", packages: []string{"ca/hierarchy"},
		may: join(core, []string{"ca/keys", "ca/issuer"}), denyDeep: transport},
	{class: "background", packages: []string{"ca/background"}, may: core, denyDeep: transport},
	{class: "retention", packages: []string{"ca/retention"}, may: core, denyDeep: transport},
	{class: "admin", packages: []string{"ca/admin"},
		may: join(core, kept, []string{"ca/keys", "ca/issuer", "ca/profile", "ca/service", "ca/hierarchy"}), denyDeep: transport},

	{class: "doctor", packages: []string{"ca/doctor"},
		may: join(core, []string{"ca/background", "ca/keys", "ca/keys/pkcs11", "ca/keys/pkcs11uri"}), denyDeep: transport, only: xcrypto},

	// Drivers. One never imports another.
	{class: "driver", packages: []string{"store/postgres", "store/sqlite"},
		may: join(core, kept, []string{"protocols/*/state", "store/commit", "store/trail", "store/migrations", "store/backup"})},
	{class: "driver for examples", packages: []string{"store/memory"}, testsOnly: true,
		may: join(core, kept, []string{"protocols/*/state", "store/commit", "store/trail"}), denyDeep: transport},
	{class: "migrations", packages: []string{"store/migrations"}},
	{class: "archive", packages: []string{"store/backup"}, may: join(core, []string{"ca/audit"}), denyDeep: transport},
	{class: "shared by drivers", packages: []string{"store/commit", "store/trail"}, may: join(core, []string{"ca/audit"}), denyDeep: transport},
	{class: "conformance", packages: []string{"store/conformance", "store/conformance/broken"}, testsOnly: true,
		may: join(core, kept, []string{"protocols/*/state", "store/trail", "store/backup", "store/conformance"})},

	{class: "configuration", packages: []string{"config"},
		may: join(core, []string{"ca/profile", "ca/keys", "ca/keys/pkcs11uri"}), denyDeep: transport},

	{class: "comparison of certificates", packages: []string{"test/equality"}, may: []string{"ca", "ca/pkix"}, testsOnly: true},
	{class: "fixtures of tests", packages: []string{"test/fixture"}, may: []string{"ca/pkix"}, testsOnly: true},
	{class: "core for the tests of doors", packages: []string{"test/core"}, testsOnly: true,
		may: join(core, kept, []string{"ca/admin", "ca/issuer", "ca/keys", "ca/lint", "ca/profile", "store/memory", "test/fixture", "test/harness"})},
	{class: "test harness", packages: []string{"test/harness"}, testsOnly: true},
	{class: "load generator", packages: []string{"test/bench"}, testsOnly: true,
		may: []string{"ca", "ca/claim", "ca/lint", "ca/pkix", "ca/profile", "test/harness"}},
	{class: "tests", packages: []string{"test/arch", "test/interop/...", "test/conformance/...", "test/chaos/...", "test/deploy", "protocols/everydoor"},
		may: []string{"..."}, testsOnly: true},
}

// denyAlways holds for every package: with these, opaque types are not.
var denyAlways = []string{"unsafe", "C"}

// clockFree lists the packages that must take the time as an argument.
var clockFree = []string{"ca/profile"}

// readsClock are the functions of package time that look at the clock or wait for it.
var readsClock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}

// restricted names a function that only some packages may so much as mention.
type restricted struct {
	name    string
	made    []string // the packages that define it
	allowed []string
	why     string
}

var restrictedNames = []restricted{
	{name: "NewVerifier", made: []string{"ca/caller", "ca/claim"}, allowed: []string{"cmd/enrollgate", "test/core"},
		why: "a verifier token is handed to a door by cmd, never made by one"},
	{name: "NewOfflineVerifier", made: []string{"ca/claim"}, allowed: []string{"cmd/enrollgate", "test/bench"},
		why: "claims that nothing proved are for the offline tools of cmd alone"},
	{name: "FromRecord", made: []string{"ca/caller", "ca/claim"}, allowed: []string{"ca"},
		why: "what a sealed record says was proven comes back behind its seal, in the core alone"},
	{name: "PossessionOfMade", made: []string{"ca/claim"}, allowed: []string{"ca/keygen"},
		why: "possession of a key that is made for a client is shown where it is made"},
	{name: "PossessionFromRecord", made: []string{"ca/claim"}, allowed: []string{"ca"},
		why: "what a sealed record says was proven comes back behind its seal, in the core alone"},
}

// bannedNames say nothing about what they hold.
var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "type", "types", "manager", "managers", "misc", "impl"}

// Hand-written files hold one subject.
const (
	maxLines     = 400
	maxTestLines = 800
)

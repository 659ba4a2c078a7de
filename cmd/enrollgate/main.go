// Enrollgate is a daemon through which devices, servers and people get
// certificates, and the commands to operate it.
//
//	enrollgate serve --dev              try it out on embedded defaults
//	enrollgate serve --config FILE      run it
//	enrollgate check --config FILE      every mistake of a configuration at once
//	enrollgate migrate --config FILE    make or update the store's tables
//	enrollgate ca create --config FILE  make a root and an issuing CA
//	enrollgate ca csr|import|activate   a CA's certificate from elsewhere, and its next one
//	enrollgate ca root|sign|crl         an offline root, without configuration or store
//	enrollgate ca list                  every CA with its generations
//	enrollgate cert list|show           what was issued
//	enrollgate cert revoke|unhold       change the status of one certificate, or of many
//	enrollgate explain SERIAL|TRACE     where every field came from, or why a request was refused
//	enrollgate request list|show|approve|deny  requests that wait for an operator
//	enrollgate profile list|show        what may be issued
//	enrollgate profile lint|test|diff   what a profile lets through, and what a change of it would do
//	enrollgate crl list|publish|import  certificate revocation lists
//	enrollgate credential create|list|revoke
//	enrollgate retention list|drop      months of certificates that expired long ago
//	enrollgate seal rotate ...          new data keys, or another key-encryption key
//	enrollgate audit verify|root|checkpoint
//	enrollgate backup create|verify     the store as one file
//	enrollgate restore FILE             an empty store from it
//	enrollgate doctor                   look everything over
//	enrollgate probe                    enroll as a client does, once or as a canary
//	enrollgate reload                   read the configuration again
//	enrollgate urls [--json]            the enrollment URLs
//	enrollgate version [--json]         what this binary is
//
// Exit codes: 0 done, 1 failed, 2 wrong usage. Errors go to stderr and say what
// to do.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/enrollgate/enrollgate/ca"
)

// console is what a command talks to.
type console struct {
	out, err io.Writer
}

type commands struct {
	Serve   serveCmd      `cmd:"" help:"Run the daemon."`
	Check   checkCmd      `cmd:"" help:"Say every mistake of a configuration file, with its line."`
	Migrate migrateCmd    `cmd:"" help:"Make or update the tables of the store."`
	CA      caCmd         `cmd:"" name:"ca" help:"Certification authorities."`
	Cert    certCmd       `cmd:"" help:"Issued certificates."`
	Explain explainCmd    `cmd:"" help:"Say where every field of a certificate came from, or why a request was refused."`
	Request requestCmd    `cmd:"" help:"Requests that wait for an operator."`
	Profile profileCmd    `cmd:"" help:"Certificate profiles."`
	CRL     crlCmd        `cmd:"" name:"crl" help:"Certificate revocation lists."`
	Secret  credentialCmd `cmd:"" name:"credential" help:"Enrollment credentials, such as keys of external accounts."`
	Retain  retentionCmd  `cmd:"" name:"retention" help:"How long certificates are kept after they expired."`
	Seal    sealCmd       `cmd:"" name:"seal" help:"Keys that protect the secrets in the store."`
	Audit   auditCmd      `cmd:"" help:"The audit trail."`
	Backup  backupCmd     `cmd:"" help:"Backups of the store."`
	Restore restoreCmd    `cmd:"" help:"Fill an empty store from a backup."`
	Doctor  doctorCmd     `cmd:"" help:"Look the installation over: store, keys, certificates, and what they point at."`
	Probe   probeCmd      `cmd:"" help:"Enroll as a client does and check everything about the certificate: once, or as a canary."`
	Reload  reloadCmd     `cmd:"" help:"Have the running daemon read its configuration again."`
	URLs    urlsCmd       `cmd:"" name:"urls" help:"List the enrollment URLs of the endpoints."`
	Version versionCmd    `cmd:"" help:"Say what this binary is."`
}

// errUsage marks a command line that cannot be carried out as given.
var errUsage = errors.New("wrong usage")

// errSaid marks a failure that the command has printed itself.
var errSaid = errors.New("failed")

func main() { os.Exit(run(os.Args[1:], console{os.Stdout, os.Stderr})) }

// run carries out one command line and gives its exit code.
func run(args []string, c console) (code int) {
	exited := -1
	parser, err := kong.New(&commands{}, kong.Name("enrollgate"), kong.Writers(c.out, c.err),
		kong.Description("Certificates for devices, servers and people, through one policy."),
		kong.Exit(func(n int) { exited = n }), kong.Bind(c), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(c.err, "enrollgate:", err)
		return exitFailed
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 { // --help was answered
		return exited
	}
	if err != nil {
		fmt.Fprintf(c.err, "enrollgate: %v; `enrollgate --help` lists the commands\n", err)
		return exitUsage
	}
	switch err := ctx.Run(c); {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailed
	case errors.Is(err, errUsage):
		fmt.Fprintln(c.err, "enrollgate:", err)
		return exitUsage
	default:
		fmt.Fprintln(c.err, "enrollgate:", sentence(err))
		return exitFailed
	}
}

// sentence prints an error for the operator: our own errors with the cause,
// because whoever runs a command may read it.
func sentence(err error) string {
	var e *ca.Error
	if errors.As(err, &e) && e.Err != nil && e.Public != "" {
		return fmt.Sprintf("%s (%v)", e.Public, e.Err)
	}
	if errors.As(err, &e) {
		return e.Public
	}
	return err.Error()
}

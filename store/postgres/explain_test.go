package postgres

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// unplanned are statements without a plan of rows.
var unplanned = []string{"Begin", "Commit", "Rollback", "Pin", "PinSession", "Settings", "EnsureMonth", "Now", "Unlimited"}

// whole are statements that read a whole table, and why that is cheap.
var whole = map[string]string{
	"Version":         "the schema's versions and one row",
	"Generations":     "a tenant has few CAs, and they few generations",
	"Activations":     "a tenant has few CAs, and they few decisions",
	"Activate":        "a tenant has few CAs, and they few generations",
	"Services":        "a service of a CA has few certificates",
	"ServiceAdd":      "a service of a CA has few certificates",
	"ServiceForget":   "a service of a CA has few certificates",
	"OutboxWaiting":   "walks the key up to its limit",
	"DataKeyAdd":      "seal_kek has one row",
	"DataKeys":        "a purpose has few versions",
	"DataKeyCount":    "a purpose has few versions",
	"KEKChange":       "seal_kek has one row",
	"CRLHeads":        "a CA has few scopes",
	"AuditKeys":       "the trail has few keys",
	"Months":          "there are 12 months a year",
	"MonthFind":       "there are 12 months a year",
	"MonthCount":      "counts a month before it is dropped, behind nobody's request",
	"PendingApproved": "what was approved is issued within seconds",
	"PendingCount":    "counts what waits for an operator, behind nobody's request",

	"Uncovered":        "walks the chains, for a checkpoint and behind nobody's request",
	"CheckpointLast":   "takes the end of the key",
	"TrailChains":      "a verification reads everything",
	"TrailCount":       "a verification reads everything",
	"TrailCheckpoints": "walks the key up to its limit",
}

// everyStatement gives each statement of the driver by its name.
func everyStatement() map[string]string {
	all := map[string]string{}
	for _, part := range []reflect.Value{reflect.ValueOf(sql), reflect.ValueOf(approving), reflect.ValueOf(replying)} {
		for i := range part.NumField() {
			all[part.Type().Field(i).Name] = part.Field(i).String()
		}
	}
	return all
}

// Every statement finds its rows through an index, whatever the tables hold:
// with sequential scans discouraged none is left, and no index is read whole.
func TestStatementsUseIndexes(t *testing.T) {
	owner, _ := migrated(t, harness.Postgres(t))
	conn := connect(t, owner)
	for _, set := range []string{"set enable_seqscan = off", "set plan_cache_mode = force_generic_plan", "set search_path = pg_catalog"} {
		if _, err := conn.Exec(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	parameter := regexp.MustCompile(`\$(\d+)`)
	for name, text := range everyStatement() {
		if text == "" {
			t.Errorf("statement %s is empty", name)
		}
		if slices.Contains(unplanned, name) {
			continue
		}
		if _, err := conn.Exec(t.Context(), "prepare s_"+name+" as "+text); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		highest := 0
		for _, m := range parameter.FindAllStringSubmatch(text, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			highest = max(highest, n)
		}
		call := "s_" + name
		if highest > 0 {
			call += "(" + strings.TrimSuffix(strings.Repeat("null,", highest), ",") + ")"
		}
		var plan []byte
		if err := conn.QueryRow(t.Context(), "explain (format json) execute "+call).Scan(&plan); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var top []struct{ Plan node }
		if err := json.Unmarshal(plan, &top); err != nil {
			t.Fatal(err)
		}
		if _, ok := whole[name]; !ok {
			top[0].Plan.check(t, name)
		}
	}
}

// narrow matches an index condition that names one row, or where to go on.
// Tenant, CA and endpoint alone name a set that grows.
var narrow = regexp.MustCompile(`substring|reverse|\b(subject|requester|scope|key_id|trace|id|transaction_id|serial|key|key_hash|hash|thumbprint|certificate|name|chain|position|expires|due|purpose|only_row|idempotency|ended_at|lookup)\b"? ?[=<>]`)

// node is a plan node, as PostgreSQL explains it.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Cond     string `json:"Index Cond"`
	Plans    []node
}

func (n *node) check(t *testing.T, name string) {
	switch {
	case n.Type == "Seq Scan":
		t.Errorf("%s reads all of %s", name, n.Relation)
	case strings.Contains(n.Type, "Index") && strings.Contains(n.Type, "Scan") && n.Cond == "":
		t.Errorf("%s reads a whole index of %s", name, n.Relation)
	case n.Cond != "" && !narrow.MatchString(n.Cond):
		t.Errorf("%s walks %s by %s", name, n.Relation, n.Cond)
	}
	for i := range n.Plans {
		n.Plans[i].check(t, name)
	}
}

// offline are the files whose statements commands send on a connection of their
// own: migrations with the owner's rights, and backups, which read whole tables.
var offline = []string{"migrate.go", "backup.go", "restore.go"}

// The daemon sends no statement that is not in the tables above.
func TestStatementsAreListed(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || slices.Contains(offline, f.Name()) {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && !strings.HasPrefix(f.Name(), "statements") && strings.Contains(lit.Value, "enrollgate.") {
				t.Errorf("%s: a statement outside of the table", set.Position(lit.Pos()))
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Query", "QueryRow", "Exec", "Queue"}, sel.Sel.Name) {
				for _, arg := range call.Args {
					if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						t.Errorf("%s: a statement outside of the table", set.Position(lit.Pos()))
					}
				}
				calls++
			}
			return true
		})
	}
	if calls < 20 {
		t.Errorf("only %d calls were found: the test looks for the wrong ones", calls)
	}
}

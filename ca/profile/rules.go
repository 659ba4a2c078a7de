package profile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Bounds of an expression: how long and how large it may be, how deeply its
// loops nest, and how many elements it may make while it runs.
const (
	maxExpression = 2000
	maxNodes      = 200
	maxLoops      = 2
	maxElements   = 20_000
)

// extraRule is one compiled condition.
type extraRule struct {
	when, require *vm.Program // nil: not written
	deny          string
	name          string // "rules.0"
	line          int    // of the rule in the profile's text
	source        string
}

// ruleFacts is what an expression sees.
type ruleFacts struct {
	Operation string       `expr:"operation"` // enroll, renew, rekey, keygen
	Now       time.Time    `expr:"now"`
	NotBefore time.Time    `expr:"not_before"` // of the certificate
	NotAfter  time.Time    `expr:"not_after"`
	Subject   []ruleValue  `expr:"subject"` // of the certificate: kind is the attribute
	Names     []ruleValue  `expr:"names"`   // of the certificate: kind is dns, ip, email, ...
	Claims    []ruleClaim  `expr:"claims"`
	Asserted  ruleAsserted `expr:"asserted"`
	Caller    ruleCaller   `expr:"caller"`
	Key       ruleKey      `expr:"key"`
	Profile   ruleProfile  `expr:"profile"`
	CA        ruleCA       `expr:"ca"`
}

type ruleValue struct {
	Kind  string `expr:"kind"`
	Value string `expr:"value"`
}

type ruleClaim struct {
	Kind   string `expr:"kind"`
	Value  string `expr:"value"`
	Method string `expr:"method"`
}

type ruleAsserted struct {
	Subject    []ruleValue `expr:"subject"`
	Names      []ruleValue `expr:"names"`
	Extensions []string    `expr:"extensions"` // names, or dotted OIDs
	NotBefore  time.Time   `expr:"not_before"`
	NotAfter   time.Time   `expr:"not_after"`
}

type ruleCaller struct {
	ID       string   `expr:"id"`
	Door     string   `expr:"door"`
	Endpoint string   `expr:"endpoint"`
	Tenant   string   `expr:"tenant"`
	Methods  []string `expr:"methods"`
}

type ruleKey struct {
	Algorithm  string `expr:"algorithm"` // ecdsa-p256, rsa-2048, ...
	Possession string `expr:"possession"`
}

type ruleProfile struct {
	ID   string `expr:"id"`
	Kind string `expr:"kind"`
}

type ruleCA struct {
	ID       string    `expr:"id"`
	NotAfter time.Time `expr:"not_after"`
}

// functions are the functions that expressions have: none looks at a clock, a
// file or chance, and none makes a text longer.
var functions = []string{"all", "any", "none", "one", "filter", "map", "count", "find", "first", "last", "len", "lower", "upper", "trim", "split", "hasPrefix", "hasSuffix", "indexOf", "int", "duration"}

func compileRules(w []WrittenRule, id string, problems *problemList) (rules []extraRule) {
	for i, written := range w {
		name := "rules." + strconv.Itoa(i)
		r := extraRule{deny: written.Deny, name: name, source: "profile " + id + " " + name}
		at := []string{"rules", strconv.Itoa(i)}
		switch {
		case written.When == "" && written.Require == "":
			problems.add(at, "one of when and require is wanted")
		case strings.TrimSpace(written.Deny) == "" || len(written.Deny) > 200 || clip(written.Deny) != written.Deny && len(written.Deny) <= 120:
			problems.add(append(at, "deny"), "deny is a sentence of at most 200 characters for whoever is refused; it is required")
		}
		r.when = compileExpression(written.When, append(slices.Clone(at), "when"), problems)
		r.require = compileExpression(written.Require, append(slices.Clone(at), "require"), problems)
		rules = append(rules, r)
	}
	return rules
}

// compileExpression gives the program of an expression; nil where none is written.
func compileExpression(text string, path []string, problems *problemList) *vm.Program {
	if text == "" {
		return nil
	}
	if len(text) > maxExpression || !utf8.ValidString(text) {
		problems.add(path, "an expression has at most %d octets of UTF-8", maxExpression)
		return nil
	}
	options := []expr.Option{expr.Env(ruleFacts{}), expr.AsBool(), expr.MaxNodes(maxNodes), expr.Optimize(false), expr.DisableAllBuiltins()}
	for _, name := range functions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		problems.add(path, "the expression does not compile: %s", expressionError(err))
		return nil
	}
	node := program.Node()
	v := &bounds{loops: map[*ast.PredicateNode]int{}}
	if ast.Walk(&node, v); v.why != "" {
		problems.add(path, "the expression %s", v.why)
		return nil
	}
	return program
}

// expressionError says where in the expression what is wrong, on one line.
func expressionError(err error) string {
	var at *file.Error
	if !errors.As(err, &at) {
		return clip(err.Error())
	}
	return fmt.Sprintf("line %d, column %d of it: %s", at.Line, at.Column+1, clip(at.Message))
}

// bounds refuses what could make an expression slow, large or impure.
type bounds struct {
	loops map[*ast.PredicateNode]int // how deeply the loops in it nest, itself included
	why   string
}

// Visit implements ast.Visitor; it sees children first.
func (b *bounds) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		b.why = "calls a method; only the functions of the language are there"
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		b.why = "has several statements; write a rule for each"
	case *ast.BinaryNode:
		_, constantPattern := n.Right.(*ast.StringNode)
		switch text := n.Left.Type(); {
		case n.Operator == "..":
			b.why = "counts through a range, which could be long"
		case n.Operator == "+" && (text == nil || text.Kind() == reflect.String || text.Kind() == reflect.Interface):
			b.why = "joins texts; compare the parts instead"
		case n.Operator == "matches" && !constantPattern:
			b.why = "matches a pattern that is not written out"
		}
	case *ast.PredicateNode:
		inner := &deepest{of: b.loops}
		ast.Walk(&n.Node, inner)
		if b.loops[n] = inner.depth + 1; b.loops[n] > maxLoops {
			b.why = fmt.Sprintf("nests loops more than %d deep", maxLoops)
		}
	}
}

// deepest finds the deepest loop below a node.
type deepest struct {
	of    map[*ast.PredicateNode]int
	depth int
}

func (d *deepest) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.PredicateNode); ok {
		d.depth = max(d.depth, d.of[n])
	}
}

// placeRules finds the line of each rule in the profile's text.
func (p *Profile) placeRules() error {
	if len(p.extra) == 0 {
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal(p.text, &document); err != nil {
		return err
	}
	for i := range p.extra {
		if n := lookUp(document.Content[0], []string{"rules", strconv.Itoa(i)}); n != nil {
			p.extra[i].line = n.Line
		}
	}
	return nil
}

// holdRules holds the decision against the profile's own conditions.
func (d *deciding) holdRules() error {
	if len(d.profile.extra) == 0 {
		return nil
	}
	seen := d.ruleFacts()
	for i := range d.profile.extra {
		rule := &d.profile.extra[i]
		verdict, err := rule.judge(seen)
		if err != nil {
			return err
		}
		d.field(rule.name, verdict, rule.source, "")
	}
	return nil
}

// judge gives a rule's verdict, "holds" or "does not apply", or its refusal.
func (r *extraRule) judge(seen ruleFacts) (verdict string, err error) {
	applies, err := r.run(r.when, seen, true)
	holds := false
	if err == nil && applies {
		holds, err = r.run(r.require, seen, false)
	}
	switch {
	case err != nil, applies && !holds:
		refusal := ca.Errorf(ca.Denied, "%s", r.deny)
		if err != nil {
			refusal = ca.Wrap(ca.Denied, err, r.deny)
		}
		refusal.Field, refusal.Rule = r.name, fmt.Sprintf("%s (line %d of the profile's text)", r.source, r.line)
		return "", refusal
	case applies:
		return "holds", nil
	}
	return "does not apply", nil
}

// run gives the truth of an expression; absent stands for one that is not written.
func (r *extraRule) run(program *vm.Program, seen ruleFacts, absent bool) (bool, error) {
	if program == nil {
		return absent, nil
	}
	machine := vm.VM{MemoryBudget: maxElements}
	out, err := machine.Run(program, seen)
	if err != nil {
		return false, errors.New(expressionError(err))
	}
	truth, ok := out.(bool)
	if !ok {
		return false, errors.New("the expression is neither true nor false")
	}
	return truth, nil
}

// ruleFacts gathers what expressions see. Times are UTC.
func (d *deciding) ruleFacts() ruleFacts {
	r := d.request
	seen := ruleFacts{Operation: string(r.Operation), Now: d.now.UTC(), NotBefore: d.out.NotBefore, NotAfter: d.out.NotAfter,
		Names: ruleNames(d.out.AltNames), Asserted: ruleAsserted{Subject: ruleSubject(d.assertedRDNs), Names: ruleNames(r.Asserted.AltNames),
			NotBefore: r.Asserted.NotBefore.UTC(), NotAfter: r.Asserted.NotAfter.UTC()},
		Caller: ruleCaller{ID: r.Caller.ID(), Door: string(r.Caller.Door()), Endpoint: r.Caller.Endpoint(), Tenant: r.Caller.Tenant()},
		Key:    ruleKey{r.Possession.Key().Algorithm(), r.Possession.Method()}, Profile: ruleProfile{d.profile.id, d.profile.kind},
		CA: ruleCA{d.facts.CA, d.facts.NotAfter.UTC()}}
	if rdns, err := pkix.ParseName(d.out.Subject); err == nil { // we encoded it
		seen.Subject = ruleSubject(rdns)
	}
	for _, c := range r.Claims {
		seen.Claims = append(seen.Claims, ruleClaim{string(c.Kind()), c.Text(), string(c.Method())})
	}
	for _, m := range r.Caller.Methods() {
		seen.Caller.Methods = append(seen.Caller.Methods, string(m))
	}
	if d.trial != nil {
		seen.Caller = ruleCaller{ID: d.trial.Caller, Door: string(d.trial.Door), Endpoint: d.trial.Endpoint, Tenant: d.trial.Tenant}
		for _, m := range d.trial.Methods {
			seen.Caller.Methods = append(seen.Caller.Methods, string(m))
		}
		seen.Key.Possession = d.trial.Possession
	}
	for _, e := range r.Asserted.Extensions {
		seen.Asserted.Extensions = append(seen.Asserted.Extensions, ExtensionName(e.ID))
	}
	return seen
}

func ruleSubject(rdns []pkix.RDN) (values []ruleValue) {
	for _, rdn := range rdns {
		for _, a := range rdn {
			text, _ := a.Text()
			values = append(values, ruleValue{pkix.AttributeName(a.Type), text})
		}
	}
	return values
}

func ruleNames(names []pkix.GeneralName) (values []ruleValue) {
	for _, n := range names {
		text, _ := n.Text()
		values = append(values, ruleValue{strings.TrimPrefix(NameField(n), "san."), text})
	}
	return values
}

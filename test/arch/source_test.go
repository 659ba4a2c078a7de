package arch_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// sourceFile is one parsed Go file.
type sourceFile struct {
	pkg   string // its folder below the module root
	name  string // its path below the module root
	fset  *token.FileSet
	tree  *ast.File
	lines int
}

func (f sourceFile) test() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f sourceFile) imports() (paths []string) {
	for _, spec := range f.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

// localName is what a file calls an imported package, "" if it does not import it.
func (f sourceFile) localName(imported string) string {
	for i, p := range f.imports() {
		if p != imported {
			continue
		}
		if name := f.tree.Imports[i].Name; name != nil {
			return name.Name
		}
		return path.Base(imported)
	}
	return ""
}

// checkFile returns everything that is wrong within one file.
func checkFile(f sourceFile) (wrong []string) {
	say := func(pos token.Pos, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s:%d: ", f.name, f.fset.Position(pos).Line)+fmt.Sprintf(format, args...))
	}
	if !ast.IsGenerated(f.tree) {
		limit := maxLines
		if f.test() {
			limit = maxTestLines
		}
		if f.lines > limit {
			wrong = append(wrong, fmt.Sprintf("%s: %d lines, more than %d", f.name, f.lines, limit))
		}
	}
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
	for _, name := range []string{f.tree.Name.Name, path.Base(f.pkg), base} {
		if slices.Contains(bannedNames, strings.TrimSuffix(name, "_test")) {
			say(f.tree.Package, "the name %q says nothing about what it holds", name)
		}
	}
	if f.test() {
		return wrong
	}
	for _, spec := range f.tree.Imports {
		if spec.Name != nil && spec.Name.Name == "." {
			say(spec.Pos(), "a dot import hides where names come from")
		}
	}
	clock := ""
	if matchesAny(clockFree, f.pkg) {
		clock = f.localName("time")
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			checkIdent(n.Name, say)
		case *ast.TypeSpec:
			checkIdent(n.Name, say)
		case *ast.ValueSpec:
			for _, name := range n.Names {
				checkIdent(name, say)
			}
		case *ast.Field:
			for _, name := range n.Names {
				checkIdent(name, say)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(readsClock, n.Sel.Name) {
				say(n.Pos(), "time.%s: the time is an argument here", n.Sel.Name)
			}
			for _, r := range restrictedNames {
				if n.Sel.Name == r.name && !matchesAny(r.made, f.pkg) && !matchesAny(r.allowed, f.pkg) {
					say(n.Pos(), "%s: %s", r.name, r.why)
				}
			}
		}
		return true
	})
	return wrong
}

func checkIdent(name *ast.Ident, say func(token.Pos, string, ...any)) {
	if strings.HasSuffix(name.Name, "Impl") {
		say(name.Pos(), "%s: name it for what sets it apart, not Impl", name.Name)
	}
}

package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// root is the module's folder, seen from this package's.
const root = "../.."

// readSources parses every Go file of the module, those for other systems and
// build tags included. Files below testdata are not the module's.
func readSources() ([]sourceFile, error) {
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && path != root
			if hidden || slices.Contains([]string{"testdata", "bin", "tmp"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := readSource(path)
		files = append(files, f)
		return err
	})
	return files, err
}

func readSource(path string) (sourceFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return sourceFile{}, err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return sourceFile{}, err
	}
	return parse(filepath.ToSlash(name), string(text))
}

func parse(name, text string) (sourceFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return sourceFile{}, err
	}
	return sourceFile{
		pkg: filepath.ToSlash(filepath.Dir(name)), name: name, fset: fset, tree: tree,
		lines: strings.Count(text, "\n"),
	}, nil
}

// graphOf draws the module's own arrows from its sources.
func graphOf(files []sourceFile) graph {
	g := graph{ours: make(map[string][]string), other: make(map[string][]string)}
	for _, f := range files {
		arrows := g.ours[f.pkg]
		if !f.test() {
			for _, p := range f.imports() {
				arrows = append(arrows, strings.TrimPrefix(p, module+"/"))
			}
		}
		g.ours[f.pkg] = arrows
	}
	for pkg, arrows := range g.ours {
		slices.Sort(arrows)
		g.ours[pkg] = slices.Compact(arrows)
	}
	return g
}

// addOthers asks the go command for the arrows between all other packages.
func (g graph) addOthers() error {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Standard,Module,Error", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
			Module     *struct{ Main bool }
			Error      *struct{ Err string }
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if p.Error != nil {
			return fmt.Errorf("go list: %s: %s", p.ImportPath, p.Error.Err)
		}
		if p.Module == nil || !p.Module.Main {
			g.other[p.ImportPath] = p.Imports
		}
	}
}

package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type profileCmd struct {
	List profileListCmd `cmd:"" help:"List the profiles: built-in ones and those of the configuration."`
	Show profileShowCmd `cmd:"" help:"Print one profile with every default filled in, and where it is bound."`
	Lint profileLintCmd `cmd:"" help:"Say what is weak or dangerous in profiles."`
	Test profileTestCmd `cmd:"" help:"Say what a request would get, offline: every step's verdict and every field's source."`
	Diff profileDiffCmd `cmd:"" help:"Say what another profile would have made of the requests of the last days."`
}

// shownProfile is a profile as JSON; lists leave the text out.
type shownProfile struct {
	ID        string   `json:"id"`
	Title     string   `json:"title"`
	Kind      string   `json:"kind"`
	Origin    string   `json:"origin"` // "built-in", or "configuration"
	Hash      string   `json:"hash"`   // SHA-256 of the text, hexadecimal; decisions name it
	Endpoints []string `json:"endpoints"`
	Text      string   `json:"text,omitempty"` // canonical YAML

	lines [][2]string
}

// catalogue gives the profiles by id. Without a configuration these are the
// built-in ones, bound nowhere.
func (s *source) catalogue() ([]shownProfile, error) {
	all, cfg, err := s.profiles()
	if err != nil {
		return nil, err
	}
	list := []shownProfile{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		p, hash := all[id], all[id].Hash()
		shown := shownProfile{ID: id, Title: p.Title(), Kind: p.Kind(), Origin: "configuration", Hash: hex.EncodeToString(hash[:]), Endpoints: []string{}, Text: string(p.Text()), lines: p.Lines()}
		if isBuiltin(p) {
			shown.Origin = "built-in"
		}
		for _, e := range cfg.Endpoints {
			if e.Profile == id {
				shown.Endpoints = append(shown.Endpoints, e.ID)
			}
		}
		list = append(list, shown)
	}
	return list, nil
}

type profileListCmd struct {
	source
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run lists the profiles by id.
func (cmd *profileListCmd) Run(c console) error {
	list, err := cmd.catalogue()
	if err != nil {
		return err
	}
	if cmd.JSON {
		for i := range list {
			list[i].Text = ""
		}
		return printJSON(c.out, list)
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "ID\tKIND\tORIGIN\tENDPOINTS\tTITLE")
	for _, p := range list {
		bound := "-"
		if len(p.Endpoints) > 0 {
			bound = strings.Join(p.Endpoints, " ")
		}
		t.row(p.ID, p.Kind, p.Origin, bound, p.Title)
	}
	return t.Flush()
}

type profileShowCmd struct {
	source
	ID    string `arg:"" help:"Id of the profile."`
	YAML  bool   `name:"yaml" help:"Print the canonical text alone, to start one of your own from." xor:"form"`
	Plain bool   `name:"text" help:"Print a line for each thing that the profile says." xor:"form"`
	JSON  bool   `name:"json" help:"Print one JSON object." xor:"form"`
}

// Run prints a profile.
func (cmd *profileShowCmd) Run(c console) error {
	list, err := cmd.catalogue()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(p shownProfile) bool { return p.ID == cmd.ID })
	if at < 0 {
		return fmt.Errorf("there is no profile %s; `enrollgate profile list` shows the ones there are (with --config FILE, those of the file too)", printable(cmd.ID))
	}
	p := list[at]
	if cmd.JSON {
		return printJSON(c.out, p)
	}
	if !cmd.YAML {
		bound := "bound to no endpoint: nothing is issued under it"
		if len(p.Endpoints) > 0 {
			bound = "bound to " + strings.Join(p.Endpoints, ", ")
		}
		fmt.Fprintf(c.out, "# %s profile, SHA-256 %s\n# %s\n", p.Origin, p.Hash, bound)
	}
	if cmd.Plain {
		t := newTable(c.out)
		for _, line := range p.lines {
			t.row(line[0], line[1])
		}
		return t.Flush()
	}
	_, err = fmt.Fprint(c.out, p.Text)
	return err
}

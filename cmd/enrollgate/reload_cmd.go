package main

import (
	"encoding/json"
	"fmt"
)

type reloadCmd struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// Run has the daemon read its configuration again, as SIGHUP does, and says
// what came of it.
func (cmd *reloadCmd) Run(c console) error {
	var out reloadOut
	if err := cmd.ask(c, reloadPath, reloadIn{}, &out, nil); err != nil {
		return err
	}
	if cmd.JSON {
		return json.NewEncoder(c.out).Encode(out)
	}
	_, err := fmt.Fprintln(c.out, "the configuration is in force; its digest is", out.Digest)
	return err
}

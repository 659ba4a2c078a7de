package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints module version, revision, Go version and platform.
func (v *versionCmd) Run(c console) error {
	info := map[string]string{"version": "devel", "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		if b.Main.Version != "" && b.Main.Version != "(devel)" {
			info["version"] = b.Main.Version
		}
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				info["revision"] = s.Value
			}
		}
	}
	if v.JSON {
		return json.NewEncoder(c.out).Encode(info)
	}
	_, err := fmt.Fprintf(c.out, "enrollgate %s %s %s\n", info["version"], info["go"], info["platform"])
	return err
}

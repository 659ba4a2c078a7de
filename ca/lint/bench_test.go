package lint

import (
	"io"
	"log/slog"
	"testing"
)

// BenchmarkLint: "own" is what zlint is added to, "known" the usual case: a
// shape that was seen and plain values; "values" the same with a name that
// zlint has to look at; "full" the first certificate of a shape.
func BenchmarkLint(b *testing.B) {
	template := good(b, "ec")
	tbs := must[[]byte](b)(template.MarshalTBS())
	remembering := must[Linter](b)(New(Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}))
	odd := good(b, "ec")
	odd.Subject = subject(b, utf8(oidCommonName, "a--b"))
	set(odd, altNames(b, "a--b.example"))
	oddTBS := must[[]byte](b)(odd.MarshalTBS())
	for name, f := range map[string]func() error{
		"own": func() error {
			c, err := read(tbs, template)
			if err == nil && len(c.check()) > 0 {
				b.Error("not good")
			}
			return err
		},
		"known":  func() error { return remembering.Lint(tbs, template, "") },
		"values": func() error { return remembering.Lint(oddTBS, odd, "") },
		"full":   func() error { return Linter{}.Lint(tbs, template, "") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

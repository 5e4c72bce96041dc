package extracttest

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/extract"
)

// card is the conformance card. It holds no times and nothing of the machine, so
// that equal connectors make equal cards.
func (k *kit) card(t *testing.T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: conformance card\n\n%s\n\nWritten by `go test -run TestConnector -update`; CI fails when it is out of date.\n", k.f.Name, k.f.Doc)
	b.WriteString("\n## Tables\n\n| table | mode | key | slices |\n|---|---|---|---|\n")
	for _, x := range k.f.Tables {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", x.FullName(), x.Mode, strings.Join(x.Key, ", "), slicing(x))
	}
	b.WriteString("\n## What was tested\n\n| property | cases |\n|---|---|\n" + k.sample() + strings.Join(k.results, "\n") + "\n| no goroutine left | after all of the above |\n")
	fmt.Fprintf(&b, "\n## What it costs\n\nThe first run on the twin took %d requests, those that plan it included.\n\n| table | slices | requests | most in one slice |\n|---|---|---|---|\n%s\n", k.requests, strings.Join(k.cost, "\n"))
	b.WriteString("\n## What it cannot see\n\n" + blind(t) + "\n")
	return b.String()
}

// sample says which tables were read, where not all were.
func (k *kit) sample() string {
	if few := k.newTwin(1).Tables; len(few) > 0 {
		return "| tables that were read | " + strings.Join(few, ", ") + " |\n"
	}
	return ""
}

func slicing(x extract.Table) string {
	s := x.Slices
	switch {
	case x.Beside != "":
		return "beside " + x.Beside
	case s.Kind == "windows":
		return fmt.Sprintf("windows of %v, settled after %v, read again for %v", s.Every, s.Settle, s.Lookback)
	case s.Kind == "scans" && s.Tail > 0:
		return fmt.Sprintf("scans every %v, tails every %v", s.Every, s.Tail)
	case s.Kind == "scans":
		return fmt.Sprintf("scans every %v", s.Every)
	}
	return s.Kind
}

// blind is the paragraph of the package comment that says what the connector
// cannot see: it is written once, where the code is.
func blind(t *testing.T) string {
	const lead = "What it cannot see: "
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		ast, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if _, text, ok := strings.Cut(ast.Doc.Text(), lead); ok {
			text, _, _ = strings.Cut(text, "\n\n")
			return strings.TrimSpace(text)
		}
	}
	t.Errorf("no package comment in this folder has a paragraph that begins with %q", lead)
	return ""
}

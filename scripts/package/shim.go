package main

import (
	"bytes"
	"go/format"
	"text/template"

	"github.com/millrace-data/millrace/functions/load"
)

// The shims: all that differs between two functions on one cloud. A connector is
// handed over; load needs none.
var (
	// Google's builder takes the root package for the function. It counts the
	// registration only where that package itself imports functions, and starts it
	// with funcframework, which therefore has to be vendored.
	gcpShim = template.Must(template.New("gcp").Parse(`// Package function registers {{.Name}} with Google's functions framework. It is
// written by scripts/package; change that.
package function

import (
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	_ "github.com/GoogleCloudPlatform/functions-framework-go/functions"

	{{if .Connector}}connector "` + module + `/functions/{{.Name}}"
	{{end}}"` + module + `/shared/platform/gcp"
)

func init() {
	gcp.Register("{{.Name}}", {{if .Connector}}connector.Function{{else}}nil{{end}})
}
`))

	awsShim = template.Must(template.New("aws").Parse(`// Command bootstrap is {{.Name}} on AWS Lambda. It is written by scripts/package;
// change that.
package main

import (
	{{if .Connector}}connector "` + module + `/functions/{{.Name}}"
	{{end}}"` + module + `/shared/platform/aws"
)

func main() {
	aws.Start("{{.Name}}", {{if .Connector}}connector.Function{{else}}nil{{end}})
}
`))
)

// shim is the source of a function's shim.
func (o order) shim(t *template.Template) ([]byte, error) {
	var b bytes.Buffer
	err := t.Execute(&b, struct {
		Name      string
		Connector bool
	}{o.fn, o.fn != load.Name})
	if err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

package main

import (
	"bytes"
	"fmt"
	"go/format"
	"text/template"
)

// The shims: all that differs between two functions on one cloud.
var (
	// Google's builder takes the root package for the function. It counts the
	// registration only where that package itself imports functions, and starts it
	// with funcframework, which therefore has to be vendored.
	gcpShim = template.Must(template.New("gcp").Parse(`// Package function registers {{.Name}} with Google's functions framework, under that
// name, which is the deployment's entry point. scripts/package writes it.
package function

import (
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	_ "github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"` + module + `/shared/platform"
	"` + module + `/shared/platform/gcp"
)

func init() { gcp.Register("{{.Name}}", platform.Options{ {{- .Options -}} }) }
`))

	awsShim = template.Must(template.New("aws").Parse(`// Command bootstrap is {{.Name}} on AWS Lambda. scripts/package writes it.
package main

import (
	"` + module + `/shared/platform"
	"` + module + `/shared/platform/aws"
)

func main() { aws.Start("{{.Name}}", platform.Options{ {{- .Options -}} }) }
`))
)

// shim is the source of a function's shim.
func (o order) shim(t *template.Template) ([]byte, error) {
	fill := struct{ Name, Options string }{Name: o.fn}
	if o.fn == withJobs {
		fill.Options = fmt.Sprintf("Environ: platform.Beside(%q, %q)", jobsVariable, jobsFolder)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, fill); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

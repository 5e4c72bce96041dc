package platform

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/stage/gcs"
	"github.com/millrace-data/millrace/shared/stage/s3"
)

// StagePlace is what MILLRACE_STAGE says, taken apart.
type StagePlace struct {
	Scheme   string // file, gs or s3
	Bucket   string // "" for a folder on this machine
	Folder   string // its path; in a bucket "" or as "a/b/"
	Region   string // of an S3 bucket; "" = the environment's
	Endpoint string // of a server on this machine, for tests; "" = the cloud's
}

// folderName is a folder whose name no driver writes in another way.
var folderName = regexp.MustCompile(`^[A-Za-z0-9_=-][A-Za-z0-9._=-]*$`)

// ParseStage takes MILLRACE_STAGE apart: gs://BUCKET/FOLDER, s3://BUCKET/FOLDER or
// file:///FOLDER; in a bucket the folder may be left out. s3 takes ?region=, and both
// take ?endpoint=. Anything else is fault.Invalid.
func ParseStage(place string) (p StagePlace, err error) {
	u, err := url.Parse(place)
	if err != nil || u.User != nil || u.Port() != "" || u.Fragment != "" {
		return p, badStage(place, "")
	}
	p = StagePlace{Scheme: u.Scheme, Bucket: u.Host}
	known := map[string]*string{}
	switch {
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		p.Folder = filepath.FromSlash(u.Path)
	case u.Scheme == "gs" && u.Host != "":
		known["endpoint"] = &p.Endpoint
	case u.Scheme == "s3" && u.Host != "":
		known["endpoint"], known["region"] = &p.Endpoint, &p.Region
	default:
		return p, badStage(place, "")
	}
	for name, values := range u.Query() {
		if known[name] == nil || len(values) != 1 {
			return p, badStage(place, fmt.Sprintf("; it takes no %q", name))
		}
		*known[name] = values[0]
	}
	if p.Bucket == "" {
		return p, nil
	}
	if p.Folder = strings.Trim(u.Path, "/"); p.Folder == "" {
		return p, nil
	}
	for name := range strings.SplitSeq(p.Folder, "/") {
		if !folderName.MatchString(name) {
			return p, badStage(place, fmt.Sprintf("; a folder is named by letters, digits and . _ = -, not %q", name))
		}
	}
	p.Folder += "/"
	return p, nil
}

func badStage(place, why string) error {
	return fault.New(fault.Invalid, "MILLRACE_STAGE is %s, want file:///FOLDER, gs://BUCKET/FOLDER or s3://BUCKET/FOLDER?region=REGION%s", Scheme(place), why)
}

// Open opens the bucket, which the caller closes, and says what a store on it has to
// know about it. Scratch and Arrived are the caller's to set.
func (p StagePlace) Open(ctx context.Context) (b *blob.Bucket, o stage.Options, err error) {
	o = stage.Options{Name: p.Bucket, Prefix: p.Folder}
	switch p.Scheme {
	case "gs":
		o.Kind = gcs.Kind
		b, err = gcs.Open(ctx, p.Bucket, gcs.Options{Endpoint: p.Endpoint})
	case "s3":
		o.Kind = s3.Kind
		b, err = s3.Open(ctx, p.Bucket, s3.Options{Region: p.Region, Endpoint: p.Endpoint})
	default:
		o.Prefix, o.Local = "", func(key string) string { return filepath.Join(p.Folder, filepath.FromSlash(key)) }
		b, err = fileblob.OpenBucket(p.Folder, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
		if err != nil {
			err = fault.New(fault.Invalid, "stage folder %s: %w", p.Folder, err)
		}
	}
	return b, o, err
}

// OpenStage is ParseStage and Open.
func OpenStage(ctx context.Context, place string) (*blob.Bucket, stage.Options, error) {
	p, err := ParseStage(place)
	if err != nil {
		return nil, stage.Options{}, err
	}
	return p.Open(ctx)
}

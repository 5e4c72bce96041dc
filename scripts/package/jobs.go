package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// The function that is packaged with job files, the folder in the package that they
// lie in, and the variable that names it.
const (
	withJobs     = "salesforcesync"
	jobsFolder   = "syncs"
	jobsVariable = "SALESFORCE_SYNCS"
)

// jobs copies the job files, and the queries that they may name, below dir. What is
// neither stays where it is: a folder of jobs may hold anything, a package must not.
// Jobs that are wrong are found here and not by the function.
func (o order) jobs(dir string) error {
	to := filepath.Join(dir, jobsFolder)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if o.syncs == "" {
		fmt.Fprintf(os.Stderr, "package: %s has no job files: say SYNCS=FOLDER\n", withJobs)
		// A folder without files is no part of a zip.
		return os.WriteFile(filepath.Join(to, "README"), []byte("No job files were packaged.\n"), 0o644)
	}
	jobs, err := reverse.ReadJobs(o.syncs)
	if errors.Is(err, fault.Invalid) {
		return usage(err.Error())
	}
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return usage(fmt.Sprintf("there is no job file (*.yml) in %s", o.syncs))
	}
	return filepath.WalkDir(o.syncs, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != o.syncs && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !jobFile(d):
			return nil
		}
		name, err := filepath.Rel(o.syncs, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

// jobFile reports whether a file is a job or a query. A link is neither: it may lead
// anywhere.
func jobFile(d fs.DirEntry) bool {
	switch filepath.Ext(d.Name()) {
	case ".yml", ".yaml", ".sql":
		return d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".")
	}
	return false
}

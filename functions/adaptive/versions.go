package adaptive

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// version is a row of versions: a version, a scenario, or a folder of them.
type version struct {
	ID            int64   `field:"id" key:"true"`
	ParentID      *string `field:"parent_id" doc:"Folder or version that it lies in."`
	Path          string  `field:"path" doc:"Names from the top, with slashes between; for reading, not for parsing."`
	IsFolder      bool    `field:"is_folder"`
	Name          string  `field:"name" doc:"Can be changed; id cannot."`
	ShortName     *string `field:"shortName"`
	Type          *string `field:"type" doc:"ACTUALS, PLANNING, SCENARIO, VERSION_FOLDER."`
	IsVirtual     *bool   `field:"isVirtual"`
	Description   *string `field:"description"`
	IsDefault     *bool   `field:"isDefaultVersion"`
	IsLocked      *bool   `field:"isLocked" doc:"Its numbers cannot change."`
	HasAuditTrail *bool   `field:"hasAuditTrail"`
	Workflow      *bool   `field:"enabledForWorkflow"`
	IsImportable  *bool   `field:"isImportable"`
	StartVer      *string `field:"startVer"`
	EndVer        *string `field:"endVer"`
	StartScroll   *string `field:"startScroll"`
	LeftScroll    *string `field:"leftScroll"`
	CompletedThru *string `field:"completedValuesThru"`
	StartPlan     *string `field:"startPlan"`
	EndPlan       *string `field:"endPlan"`
	LockLeading   *string `field:"lockLeading"`
	IsPredictive  *bool   `field:"isPredictive"`
}

const folderType = "VERSION_FOLDER"

func versionsTable() extract.Table {
	return extract.Table{Slices: daily, Table: record.Table{Schema: "adaptive", Name: "versions",
		Doc:     "All versions that the login sees, and the folders they lie in.",
		Columns: record.Columns[version](), Key: record.Key[version](), Mode: record.ReplaceAll}}
}

// daily is 20 hours, so that a schedule that fires a little early skips no day.
var daily = extract.Scans(20*time.Hour, 0)

// readVersions stages the tree of versions.
func (i *instance) readVersions(ctx context.Context, out *extract.Out) error {
	return i.tree(ctx, call{Method: "exportVersions"}, out, func(e *element) error {
		if e.tag != "version" {
			return nil // details that some accounts have
		}
		row := map[string]any{"path": path(e), "is_folder": e.attr("type") == folderType}
		for _, a := range e.attrs {
			row[a.Name.Local] = a.Value
		}
		if id := above(e); id != "" {
			row["parent_id"] = id
		}
		return stage(out, row)
	})
}

// tree makes a call whose answer is a tree, and keeps one that is damaged.
func (i *instance) tree(ctx context.Context, c call, out *extract.Out, visit func(*element) error) error {
	body, err := i.send(ctx, c)
	if err != nil {
		return err
	}
	defer body.Close()
	e, err := walk(body, visit)
	if said, _ := e.said(); err == nil && said != "" {
		out.Warn("%s: Adaptive says: %s", c.Method, said)
	}
	return i.damaged(ctx, c, out, body, err)
}

func stage(out *extract.Out, row map[string]any) error {
	raw, err := json.Marshal(row, json.Deterministic(true))
	if err != nil {
		return fault.New(fault.Corrupt, "a name or text of the answer is no Unicode")
	}
	return out.Row(raw)
}

// path is the names of an element and of what it lies in.
func path(e *element) string {
	var names []string
	for ; e != nil; e = e.parent {
		list := e.children && (e.parent == nil || e.parent.parent == nil)
		if len(e.attrs) > 0 && !list {
			names = append(names, e.label())
		}
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// above is the id of the nearest element around e that has one.
func above(e *element) string {
	for p := e.parent; p != nil; p = p.parent {
		if id := p.attr("id"); id != "" {
			return id
		}
	}
	return ""
}

// plan is a version of the folder.
type plan struct {
	id, name, start, end string
	locked               bool
}

// plans lists the versions below the configured folder: in folders of it, and
// scenarios and sub-versions of versions. Folders themselves hold no numbers.
func (i *instance) plans(ctx context.Context) (plans []plan, err error) {
	body, err := i.send(ctx, call{Method: "exportVersions"})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	found := map[string]bool{} // ids of folders of that name
	var others []string
	_, err = walk(body, func(e *element) error {
		if e.tag != "version" {
			return nil
		}
		if e.attr("type") == folderType {
			others = append(others, e.attr("name"))
			if e.attr("name") == i.cfg.Folder {
				found[e.attr("id")] = true
			}
			return nil
		}
		if inside(e, i.cfg.Folder) {
			plans = append(plans, plan{e.attr("id"), e.attr("name"), e.attr("startVer"), e.attr("endVer"), yes(e.attr("isLocked"))})
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fault.New(fault.Invalid, "there is no version folder %q, or the login may not see it; there are %q: correct ADAPTIVE_FOLDER", i.cfg.Folder, others)
	case len(found) > 1:
		return nil, fault.New(fault.Invalid, "%d version folders are called %q: rename one at Adaptive", len(found), i.cfg.Folder)
	}
	return plans, nil
}

// inside reports whether an element lies below a folder of that name.
func inside(e *element, folder string) bool {
	for p := e.parent; p != nil; p = p.parent {
		if p.attr("type") == folderType && p.attr("name") == folder {
			return true
		}
	}
	return false
}

// yes reads a boolean of either kind that Adaptive writes.
func yes(s string) bool { return s == "true" || s == "1" }

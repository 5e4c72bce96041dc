package reverse

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/robfig/cron/v3"
)

// checker judges a job that was decoded, by what stands in its file alone.
type checker struct {
	*decoder
	job *Job
}

var (
	syncName  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*\.[A-Za-z_][A-Za-z0-9_$]*$`)
)

// note adds a problem at a key.
func (c *checker) note(key, rule, format string, args ...any) {
	line := c.lines[key]
	for up := key; line == 0 && up != ""; {
		up = up[:max(0, strings.LastIndex(up, "."))]
		line = c.lines[up]
	}
	if line == 0 && len(c.lines) > 0 {
		line = 1
	}
	c.wrong(line, key, rule, format, args...)
}

// had reports whether a key is in the file, and whether its value was understood.
func (c *checker) had(key string) (there, fine bool) {
	_, there = c.lines[key]
	return there, there && !slices.ContainsFunc(c.problems, func(p problem) bool { return p.Key == key })
}

func (c *checker) all(dir string) {
	c.named("name", c.job.Name, syncName, "a name of a-z, 0-9 and _, of at most 64 characters")
	c.named("object", c.job.Object, fieldName, "the name of an object, such as Account")
	c.named("external_id", c.job.ExternalID, fieldName, "the name of a field, such as DW_Key__c")
	c.owner()
	if there, _ := c.had("operation"); !there {
		c.note("operation", ruleMissing, "is missing; there are %s", strings.Join(enums[typeOf[Operation]()], ", "))
	}
	c.query(dir)
	c.columns()
	c.when()
	c.id()
	c.limits()
	for _, class := range c.job.Classes {
		if strings.TrimSpace(class) == "" {
			c.note("classes", ruleValue, "one of them is empty")
		}
	}
}

// named checks a key that must be there and look like a name.
func (c *checker) named(key, value string, like *regexp.Regexp, what string) {
	switch there, fine := c.had(key); {
	case !there:
		c.note(key, ruleMissing, "is missing: %s", what)
	case fine && !like.MatchString(value):
		c.note(key, ruleValue, "must be %s, and is %q", what, value)
	}
}

func (c *checker) owner() {
	who := c.job.Owner
	there, fine := c.had("owner")
	before, after, mail := strings.Cut(who, "@")
	switch {
	case !there:
		c.note("owner", ruleOwner, "is missing: the e-mail or the team that is asked when the sync is blocked")
	case !fine:
	case strings.TrimSpace(who) == "" || strings.ContainsFunc(who, unicode.IsControl),
		mail && before != "" && (after == "" || strings.ContainsAny(who, " <>,;") || strings.Contains(after, "@")):
		c.note("owner", ruleOwner, "must be an e-mail or a team, and is %q", who)
	}
}

func (c *checker) query(dir string) {
	j := c.job
	inline, fine := c.had("query")
	inFile, readable := c.had("query_file")
	switch {
	case inline && inFile:
		c.note("query_file", ruleQuery, "stands beside query: a job has one of them")
		return
	case !inline && !inFile:
		c.note("query", ruleMissing, "is missing: one SELECT, or query_file with the name of a file that holds it")
		return
	case inline && !fine, inFile && !readable:
		return
	}
	key := "query"
	if inFile {
		key = "query_file"
		text, err := queryFile(dir, j.QueryFile)
		if err != nil {
			c.note(key, ruleQuery, "%v", err)
			return
		}
		j.Query, j.QueryFile = text, ""
	}
	text, err := statement(j.Query)
	if err != nil {
		c.note(key, ruleQuery, "%v", err)
		return
	}
	j.Query = text
}

// queryFile reads a file below dir; a link that leads out of it is refused.
func queryFile(dir, name string) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("%q cannot be read here: the job has no folder", name)
	}
	text, err := readMost(queryMax)(os.OpenInRoot(dir, name))
	if err != nil {
		return "", fmt.Errorf("%w: it must be a file beside the job's, or in a folder below", err)
	}
	return string(text), nil
}

func (c *checker) columns() {
	j := c.job
	if there, fine := c.had("key"); !there {
		c.note("key", ruleMissing, "is missing: the column of the query that carries %s", or(j.ExternalID, "external_id"))
	} else if fine {
		c.column("key", j.Key)
	}
	if j.OrderBy != "" {
		c.column("order_by", j.OrderBy)
	}
	there, fine := c.had("fields")
	if !there && j.Operation != Delete || fine && len(j.Fields) == 0 && j.Operation != Delete {
		c.note("fields", ruleMissing, "is missing: the columns of the query, and the field that each goes to, such as {score: Score__c}")
	}
	by := map[string]string{}
	for _, column := range slices.Sorted(maps.Keys(j.Fields)) {
		field, at := j.Fields[column], "fields."+column
		if _, fine := c.had(at); !fine {
			continue
		}
		c.column(at, column)
		switch low := strings.ToLower(field); {
		case !fieldName.MatchString(field):
			c.note(at, ruleValue, "must be the name of a field, such as Score__c, and is %q", field)
		case strings.EqualFold(field, j.ExternalID):
			c.note(at, ruleColumns, "goes to %s, which tells the records apart and is sent from key", field)
		case column == j.Key:
			c.note(at, ruleColumns, "is the key; to send it to %s too, select it twice", field)
		case by[low] != "":
			c.note(at, ruleColumns, "goes to %s, and so does %s: a field has one source", field, by[low])
		default:
			by[low] = column
		}
	}
}

func (c *checker) column(key, name string) {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
		c.note(key, ruleValue, "%q is not the name of a column", name)
	}
}

func (c *checker) when() {
	j := c.job
	if there, fine := c.had("after"); there && fine && !tableName.MatchString(j.After) {
		c.note("after", ruleValue, "must be a table as SCHEMA.TABLE, and is %q", j.After)
	}
	if there, fine := c.had("schedule"); there && fine {
		if _, err := parseSchedule(j.Schedule); err != nil {
			c.note("schedule", ruleValue, "must be five fields of cron, in UTC, such as 0 6 * * *, and is %q: %v", j.Schedule, err)
		}
	}
	if there, fine := c.had("expires"); there && fine && j.Expires <= 0 {
		c.note("expires", ruleValue, "must be more than 0")
	}
	if there, fine := c.had("reserve"); there && fine && (j.Reserve < 1 || j.Reserve > 99) {
		c.note("reserve", ruleValue, "must be a percentage from 1 to 99, and is %d", j.Reserve)
	}
}

func parseSchedule(text string) (cron.Schedule, error) {
	if strings.Contains(text, "=") || strings.HasPrefix(text, "@") {
		return nil, fmt.Errorf("zones and words such as @daily are not taken")
	}
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
}

// Due is when the schedule is due first after t, in UTC; zero where it has none, or
// never is.
func (j Job) Due(t time.Time) time.Time {
	s, err := parseSchedule(j.Schedule)
	if err != nil {
		return time.Time{}
	}
	return s.Next(t.UTC())
}

func (c *checker) id() {
	if !strings.EqualFold(c.job.ExternalID, "Id") {
		return
	}
	switch c.job.Operation {
	case Insert:
		c.note("external_id", ruleValue, "cannot be Id: a new record gets it from the destination")
	case Upsert:
		c.note("external_id", ruleValue, "cannot be Id for upsert: write operation: update")
	}
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

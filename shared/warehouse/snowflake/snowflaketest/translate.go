package snowflaketest

import (
	"slices"
	"strings"
)

// types of Snowflake by the engine's name for them; all whole numbers are
// NUMBER(38,0).
var types = map[string]string{
	"INT": "DECIMAL(38,0)", "INTEGER": "DECIMAL(38,0)", "BIGINT": "DECIMAL(38,0)", "SMALLINT": "DECIMAL(38,0)", "TINYINT": "DECIMAL(38,0)", "BYTEINT": "DECIMAL(38,0)",
	"FLOAT": "DOUBLE", "FLOAT4": "DOUBLE", "FLOAT8": "DOUBLE", "REAL": "DOUBLE", "STRING": "VARCHAR", "TEXT": "VARCHAR", "NVARCHAR": "VARCHAR",
	"VARIANT": "JSON", "OBJECT": "JSON", "ARRAY": "JSON", "DATETIME": "TIMESTAMP", "TIMESTAMP_NTZ": "TIMESTAMP",
	"TIMESTAMP_TZ": "TIMESTAMPTZ", "TIMESTAMP_LTZ": "TIMESTAMPTZ", "BINARY": "BLOB", "VARBINARY": "BLOB",
}

// before is the keywords that a table's name follows.
var before = []string{"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "USING", "EXISTS", "VIEW", "LIKE", "CLONE", "ON"}

// engine writes the tokens so that DuckDB does what Snowflake would.
func (s *session) engine(in []token) []token {
	var out []token
	for i := 0; i < len(in); {
		n := 0
		for _, rule := range []func([]token, int, []token) ([]token, int){s.call, s.chain, s.typeName, s.cast, s.look} {
			if out2, size := rule(in, i, out); size > 0 {
				out, n = out2, size
				break
			}
		}
		if n == 0 {
			out, n = append(out, in[i]), 1
		}
		i += n
	}
	return out
}

func raws(s string) token { return token{kind: raw, text: s} }

// chain reads a dotted name in a table's place and says it in full.
func (s *session) chain(in []token, i int, out []token) ([]token, int) {
	if !in[i].name() || i > 0 && in[i-1].is(".") {
		return out, 0
	}
	parts, size := names(in[i:])
	if len(parts) < 2 {
		return out, 0
	}
	if parts[len(parts)-2] == "INFORMATION_SCHEMA" && len(parts) <= 3 {
		db := s.db
		if len(parts) == 3 {
			db = parts[0]
		}
		return append(out, raws("SF_"+parts[len(parts)-1]+"("+literal(db)+")")), size
	}
	t := s.resolve(parts)
	if len(parts) > 3 || i == 0 || in[i-1].kind != word || !slices.Contains(before, in[i-1].text) || !s.temps[t] && !s.exists(t) {
		return append(out, in[i:i+size]...), size
	}
	return append(out, raws(s.place(t))), size
}

// names reads a dotted name in the engine's spelling.
func names(in []token) (parts []string, size int) {
	for i := 0; i < len(in) && in[i].name(); i += 2 {
		parts, size = append(parts, spell(in[i])), i+1
		if i+1 >= len(in) || !in[i+1].is(".") {
			break
		}
	}
	return parts, size
}

// spell is the engine's name of an identifier.
func spell(t token) string {
	if t.kind == quoted {
		return encode(t.text)
	}
	return t.text
}

// typeName reads the name of a type with its size.
func (s *session) typeName(in []token, i int, out []token) ([]token, int) {
	if in[i].kind != word || i > 0 && in[i-1].is(".") {
		return out, 0
	}
	size := 1
	if i+1 < len(in) && in[i+1].is("(") {
		size = closing(in, i+1) - i + 1
	}
	switch t := in[i].text; t {
	case "NUMBER", "NUMERIC", "DECIMAL":
		if size == 1 {
			return append(out, raws("DECIMAL(38,0)")), 1
		}
		return append(out, raws("DECIMAL")), 1
	case "DOUBLE":
		if i+1 < len(in) && in[i+1].is("PRECISION") {
			size = 2
		}
		return append(out, raws("DOUBLE")), size
	case "TIMESTAMP":
		return append(out, raws("TIMESTAMP")), size
	default:
		if types[t] == "" {
			return out, 0
		}
		return append(out, raws(types[t])), size
	}
}

// calls is functions that go by another name in the engine.
var calls = map[string]string{
	"GREATEST": "SF_GREATEST", "LEAST": "SF_LEAST", "TO_JSON": "SF_TO_JSON", "OBJECT_CONSTRUCT": "json_object",
	"ARRAY_CONSTRUCT": "json_array", "ARRAY_AGG": "json_group_array", "COUNT_IF": "countif", "TO_TIMESTAMP": "TO_TIMESTAMP_NTZ",
}

// call reads a function that the engine spells or computes otherwise.
func (s *session) call(in []token, i int, out []token) ([]token, int) {
	if in[i].kind != word || i+1 >= len(in) || !in[i+1].is("(") || i > 0 && in[i-1].is(".") {
		return out, 0
	}
	end := closing(in, i+1)
	inner := in[i+2 : end]
	size := end - i + 1
	wrap := func(head string, args []token, tail string) ([]token, int) {
		return append(append(append(out, raws(head)), s.engine(args)...), raws(tail)), size
	}
	switch f := in[i].text; f {
	case "PARSE_JSON", "TRY_PARSE_JSON":
		return wrap("CAST(SF_"+f+"(CAST(", inner, " AS VARCHAR)) AS JSON)")
	case "CAST":
		if as := find(inner, 0, "AS"); as >= 0 && as+1 < len(inner) && textType(inner[as+1]) {
			return wrap("SF_TEXT(", inner[:as], s.fraction()+")")
		}
	case "TO_VARCHAR", "TO_CHAR":
		if find(inner, 0, ",") < 0 {
			return wrap("SF_TEXT(", inner, s.fraction()+")")
		}
	case "TO_NUMBER", "TO_DECIMAL", "TRY_TO_NUMBER", "TRY_TO_DECIMAL":
		verb, typ := "CAST(", "38,0"
		if strings.HasPrefix(f, "TRY") {
			verb = "TRY_CAST("
		}
		if c := find(inner, 0, ","); c >= 0 {
			typ, _ = render(inner[c+1:])
			inner = inner[:c]
		}
		return wrap(verb, inner, " AS DECIMAL("+typ+"))")
	case "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIMESTAMP":
		return append(out, raws(f)), size
	case "IDENTIFIER":
		if len(inner) == 1 && inner[0].kind == text {
			return append(out, s.engine(lex(inner[0].text))...), size
		}
	default:
		if v, ok := s.context(f); ok && len(inner) == 0 {
			return append(out, raws(literal(v))), size
		}
		if calls[f] != "" {
			return wrap(calls[f]+"(", inner, ")")
		}
	}
	return out, 0
}

func textType(t token) bool {
	return t.kind == word && (t.text == "VARCHAR" || types[t.text] == "VARCHAR" || t.text == "CHAR")
}

// context is what the functions without arguments say of the session.
func (s *session) context(f string) (string, bool) {
	switch f {
	case "CURRENT_DATABASE":
		return decode(s.db), true
	case "CURRENT_SCHEMA":
		return decode(s.schema), true
	case "CURRENT_WAREHOUSE":
		return s.srv.opts.Warehouse, true
	case "CURRENT_ROLE":
		return s.srv.opts.Role, true
	case "CURRENT_USER":
		return s.srv.opts.User, true
	case "CURRENT_VERSION":
		return serverVersion, true
	case "LAST_QUERY_ID":
		return s.last, true
	}
	return "", false
}

// cast turns x::VARCHAR into the function that writes texts as Snowflake does.
func (s *session) cast(in []token, i int, out []token) ([]token, int) {
	if !in[i].is("::") || i+1 >= len(in) || !textType(in[i+1]) {
		return out, 0
	}
	size := 2
	if i+2 < len(in) && in[i+2].is("(") {
		size = closing(in, i+2) - i + 1
	}
	from := operand(out)
	x := append([]token{raws("SF_TEXT(")}, append(slices.Clone(out[from:]), raws(s.fraction()+")"))...)
	return append(out[:from:from], x...), size
}

// fraction is how texts of times end, as an argument.
func (s *session) fraction() string {
	f := s.params["TIMESTAMP_NTZ_OUTPUT_FORMAT"]
	switch {
	case strings.HasSuffix(f, "FF6"), strings.HasSuffix(f, "FF"), strings.HasSuffix(f, "FF9"):
		return ", '.%f'"
	case f == "" || strings.HasSuffix(f, "FF3"):
		return ", '.%g'"
	}
	return ", ''"
}

// look turns x:a.b[0] and x['a'] into a look into the document.
func (s *session) look(in []token, i int, out []token) ([]token, int) {
	if i == 0 || i+1 >= len(in) || !in[i-1].name() && !in[i-1].is(")") && !in[i-1].is("]") {
		return out, 0
	}
	key, n := "", 0
	switch {
	case in[i].is(":") && in[i+1].kind == word:
		key, n = strings.ToLower(in[i+1].text), 2
	case in[i].is(":") && in[i+1].kind == quoted:
		key, n = in[i+1].text, 2
	case in[i].is("[") && i+2 < len(in) && in[i+2].is("]") && (in[i+1].kind == text || in[i+1].kind == number):
		key, n = in[i+1].text, 3
	default:
		return out, 0
	}
	from := operand(out)
	x := slices.Clone(out[from:])
	for {
		x = append([]token{raws("SF_LOOK(")}, append(x, raws(","), token{kind: text, text: "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)}, raws(")"))...)
		if i+n+1 >= len(in) || !in[i].is(":") || !in[i+n].is(".") || !in[i+n+1].name() {
			break
		}
		if key = in[i+n+1].text; in[i+n+1].kind == word {
			key = strings.ToLower(key)
		}
		n += 2
	}
	return append(out[:from:from], x...), n
}

// operand is where the last operand begins: a name, a value, a call or brackets.
func operand(out []token) int {
	i := len(out) - 1
	if i < 0 {
		return 0
	}
	if out[i].is(")") || out[i].kind == raw && strings.HasSuffix(out[i].text, ")") {
		depth := 0
		for ; i >= 0; i-- {
			if k := out[i].kind; k == op || k == raw {
				depth += strings.Count(out[i].text, ")") - strings.Count(out[i].text, "(")
			}
			if depth == 0 {
				break
			}
		}
		if i > 0 && out[i].is("(") && out[i-1].kind == word {
			i--
		}
	}
	for i > 1 && out[i-1].is(".") {
		i -= 2
	}
	return max(i, 0)
}

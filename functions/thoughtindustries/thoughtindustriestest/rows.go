package thoughtindustriestest

import (
	"strconv"
	"time"
)

// feedKind is what the events of a feed look like.
type feedKind struct {
	slug, table string
	keyless     bool
	make        func(dst []byte, e event) []byte
}

// listKind is what the rows of a list look like.
type listKind struct {
	resource, array, table string
	make                   func(dst []byte, w world, i int) []byte
}

// world turns numbers into values, the same ones for the same seed.
type world struct {
	seed    uint64
	users   int
	clients int
}

// event is the raw material of one event.
type event struct {
	world
	i    int
	at   int64  // epoch ms
	luck uint64 // random bits
}

func (w world) event(salt uint64, i int, at int64) event {
	return event{w, i, at, w.luck(salt, i)}
}

// luck is splitmix64: well mixed bits from a number, without state.
func (w world) luck(salt uint64, i int) uint64 {
	z := w.seed*0x9e3779b97f4a7c15 + salt<<48 + uint64(i)*0xbf58476d1ce4e5b9
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// object writes a JSON object member by member.
type object []byte

func (o object) name(name string) object {
	if last := o[len(o)-1]; last != '{' {
		o = append(o, ',')
	}
	o = append(append(append(o, '"'), name...), `":`...)
	return o
}

// text writes a text member; v needs no escaping, or has it already.
func (o object) text(name, v string) object {
	return append(append(append(o.name(name), '"'), v...), '"')
}
func (o object) raw(name, v string) object { return append(o.name(name), v...) }
func (o object) null(names ...string) object {
	for _, n := range names {
		o = o.raw(n, "null")
	}
	return o
}
func (o object) number(name string, v int) object {
	return strconv.AppendInt(o.name(name), int64(v), 10)
}
func (o object) flag(name string, v bool) object { return strconv.AppendBool(o.name(name), v) }
func (o object) open(name string) object         { return append(o.name(name), '{') }
func (o object) close() object                   { return append(o, '}') }

// uuid writes the id of thing i of a kind.
func (o object) uuid(name, kind string, seed uint64, i int) object {
	o = append(append(o.name(name), '"'), kind...)
	o = hex(append(o, '-'), seed&0xffff, 4)
	o = append(o, "-4e0e-9a00-"...)
	return append(hex(o, uint64(i), 12), '"')
}

func hex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}

func (o object) time(name string, ms int64) object {
	o = append(o.name(name), '"')
	return append(time.UnixMilli(ms).UTC().AppendFormat(o, "2006-01-02T15:04:05.000Z"), '"')
}

func (o object) email(name string, i int) object {
	o = append(o.name(name), `"learner`...)
	return append(strconv.AppendInt(o, int64(i), 10), `@example.com"`...)
}

// Ids of things begin with their kind.
const (
	idEvent   = "5b1f7c52"
	idUser    = "77777777"
	idCourse  = "9c0d0000"
	idClient  = "c11e0000"
	idOther   = "0de20000"
	idCompany = "11111111-2222-4333-8444-555555555555"
)

var (
	firstNames = []string{"Ana", "Björn", "Chloé", "Daniel", "Ewa", "Farid", "Gül", "Hiro"}
	lastNames  = []string{"Roe", "O'Neill", "Müller", "da Silva", "Nguyễn", "\\\"Ace\\\" Smith", "Łukasz", "Ito"}
	courses    = []string{"Pipelines 101", "Größe & Maß", "Say \\\"hello\\\"", "CI/CD 入門", "Security: basics", "Line\\nbreak"}
	sources    = []string{"direct", "import", "api", "purchase"}
)

func (e event) user() int   { return int(e.luck % uint64(e.users)) }
func (e event) course() int { return int(e.luck >> 20 % uint64(len(courses))) }
func (e event) odd(bit int) bool {
	return e.luck>>bit&1 == 1
}

// begin writes what all events have.
func (e event) begin(dst []byte, id bool) object {
	o := object(append(dst, '{'))
	if id {
		o = o.uuid("id", idEvent, e.seed, e.i)
	}
	return o.time("timestamp", e.at).text("companyId", idCompany).email("user", e.user())
}

// detail writes who did it; purchases have more of it.
func (e event) detail(o object, purchase bool) object {
	u := e.user()
	o = o.open("userDetail").uuid("id", idUser, e.seed, u).email("email", u)
	o = o.text("firstName", firstNames[u%len(firstNames)]).text("lastName", lastNames[u/3%len(lastNames)])
	o = o.null("externalCustomerId", "sfContactId", "sfAccountId").text("ref1", "customer").null("ref2")
	if purchase {
		o = o.text("address1", "1 Main St").text("city", "Boston").text("zipCode", "02110")
		o = o.text("stripeCustomerId", "cus_"+strconv.Itoa(u)).text("shippingName", firstNames[u%len(firstNames)])
	}
	return o.close()
}

func (e event) site(o object) object {
	return o.text("companyHost", "academy.example.com").text("companySubdomain", "academy")
}

var feedKinds = []feedKind{
	{"courseAction", "course_actions", false, courseAction},
	{"courseCompletion", "course_completions", false, courseCompletion},
	{"courseView", "course_views", true, courseView},
	{"login", "logins", true, login},
	{"visit", "visits", true, visit},
	{"coursePurchase", "course_purchases", false, coursePurchase},
	{"learningPathAction", "learning_path_actions", false, learningPathAction},
	{"emailCapture", "email_captures", true, emailCapture},
	{"redemptionCodeRedeem", "code_redemptions", true, redemptionCodeRedeem},
}

func courseAction(dst []byte, e event) []byte {
	o := e.begin(dst, true)
	o = o.text("type", []string{"enrollment", "completed", "certificate", "revoked"}[e.luck>>9&3])
	o = o.text("source", sources[e.luck>>11&3]).uuid("notifiableId", idCourse, e.seed, e.course())
	o = o.text("courseTitle", courses[e.course()]).null("courseSku")
	return e.detail(o, false).close()
}

func courseCompletion(dst []byte, e event) []byte {
	o := e.begin(dst, true).text("event", "courseCompletion").text("type", "completed").text("source", sources[e.luck>>11&3])
	o = o.text("title", courses[e.course()]).null("license").uuid("notifiableId", idCourse, e.seed, e.course())
	return e.detail(o.time("updatedAt", e.at), false).close()
}

func courseView(dst []byte, e event) []byte {
	o := e.begin(dst, false).uuid("courseId", idCourse, e.seed, e.course()).text("courseTitle", courses[e.course()]).null("courseSku")
	for i, level := range []string{"lesson", "section", "topic"} {
		n := int(e.luck >> (30 + 4*i) & 7)
		o = o.uuid(level+"Id", idOther, e.seed, n).text(level+"Title", level+" "+strconv.Itoa(n))
		if level != "topic" {
			o = o.text(level+"Slug", level+"-"+strconv.Itoa(n))
		}
	}
	return e.detail(o, false).close()
}

func login(dst []byte, e event) []byte {
	o := e.site(e.begin(dst, false).text("event", "login"))
	o = o.open("browserInfo").text("name", "Firefox").text("version", "130.0").close()
	o = o.text("userAgent", "Mozilla/5.0 (X11; Linux x86_64)").text("ipAddress", "192.0.2."+strconv.Itoa(int(e.luck>>33&255)))
	o = o.open("ipGeoInfo").text("country", "US").raw("latitude", "42.3601").raw("longitude", "-71.05890000").close()
	return e.detail(o, false).close()
}

func visit(dst []byte, e event) []byte {
	return e.detail(e.site(e.begin(dst, false).text("event", "visit")), false).close()
}

func coursePurchase(dst []byte, e event) []byte {
	price, off := int(e.luck>>24&0xffff), 0
	if e.odd(5) {
		off = price / 10
	}
	o := e.begin(dst, true).uuid("transactionId", idOther, e.seed, e.i).text("type", "purchase").uuid("orderId", idOther, e.seed, e.i)
	o = o.null("groupId").text("chargeId", "ch_"+strconv.Itoa(e.i)).uuid("purchasableId", idCourse, e.seed, e.course())
	o = o.text("purchasableType", "course").text("slug", "course-"+strconv.Itoa(e.course())).text("title", courses[e.course()])
	o = o.null("sku", "courseStartDate").number("quantity", 1+int(e.luck>>40&3)).null("variation").text("revenueType", "paid")
	o = o.number("priceInCents", price).number("amountNet", price-off).number("amountWithoutDiscount", price).number("amountDiscounted", off)
	o = o.number("amountCharged", price-off).number("amountRefunded", 0).number("amountDisputed", 0).number("amountTaxed", 0)
	if off > 0 {
		o = o.open("coupon").text("code", "SPRING").number("amountOffInCents", off).close().text("couponCode", "SPRING")
	} else {
		o = o.null("coupon", "couponCode")
	}
	o = o.null("giftRecipientEmail", "shippingMethod").flag("success", !e.odd(7)).null("failureCode", "failureMessage")
	o = o.open("referral").text("source", "newsletter").null("referrer", "referrerType").close()
	return e.detail(o, true).close()
}

func learningPathAction(dst []byte, e event) []byte {
	o := e.begin(dst, true).text("type", "enrollment").text("source", sources[e.luck>>11&3]).uuid("notifiableId", idOther, e.seed, e.course())
	o = o.text("learningPathTitle", courses[e.course()]).null("learningPathSku", "milestoneTitle")
	return e.detail(o, false).close()
}

func emailCapture(dst []byte, e event) []byte {
	o := e.site(e.begin(dst, false).text("event", "emailCapture").text("source", "widget").text("notifiableType", "course"))
	o = o.uuid("notifiableId", idCourse, e.seed, e.course()).uuid("courseId", idCourse, e.seed, e.course()).null("courseSku")
	return o.text("courseTitle", courses[e.course()]).uuid("anonymousId", idOther, e.seed, e.user()).close()
}

func redemptionCodeRedeem(dst []byte, e event) []byte {
	o := e.site(e.begin(dst, false).text("event", "redemptionCodeRedeem"))
	o = o.text("redemptionCode", "CODE-"+strconv.Itoa(int(e.luck>>40&1023))).text("redemptionCodeGroupLabel", "Spring campaign")
	return e.detail(o, false).close()
}

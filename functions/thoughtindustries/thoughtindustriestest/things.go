package thoughtindustriestest

import (
	"strconv"
	"time"
)

var listKinds = []listKind{
	{"users", "users", "users", user},
	{"content", "contentItems", "content", content},
	{"meetings", "meetings", "meetings", meeting},
	{"clients", "clients", "clients", client},
	{"assessmentAttempts", "assessmentAttempts", "assessment_attempts", attempt},
	{"coupons", "coupons", "coupons", coupon},
}

// created is when thing i came to be: ten minutes after the one before it.
func created(i int) int64 {
	return time.Date(2020, 4, 1, 0, 0, 0, 0, time.UTC).UnixMilli() + int64(i)*600_000
}

func user(dst []byte, w world, i int) []byte {
	luck := w.luck(100, i)
	o := object(append(dst, '{')).uuid("id", idUser, w.seed, i).email("email", i)
	o = o.text("firstName", firstNames[i%len(firstNames)]).text("lastName", lastNames[i/3%len(lastNames)])
	o = o.text("roleKey", "student").flag("disabled", luck&15 == 0).time("createdAt", created(i)).time("lastActiveAt", created(i)+int64(luck>>40))
	o = o.text("language", "en").text("country", "US").null("state", "zipCode").uuid("clientId", idClient, w.seed, int(luck>>8%uint64(w.clients)))
	o = o.null("learnerUserId", "managerUserId", "externalCustomerId", "sfAccountId", "sfContactId", "stripeCustomerId", "shippingName")
	o = o.raw("balance", "12.50").null("asset").text("ref1", "customer").null("ref2", "ref3", "ref4", "ref5", "ref6", "ref7", "ref8", "ref9", "ref10")
	o = o.open("customFields").text("team", "blue").close().raw("purchasedCourses", `[{"id":"`+strconv.Itoa(i)+`","quantity":1}]`)
	return o.raw("purchasedBundles", "[]").raw("waitlistedCourses", "[]").raw("allocatedLicenses", "[]").raw("allocatedLearningPaths", "[]").close()
}

func content(dst []byte, w world, i int) []byte {
	title := courses[i%len(courses)]
	o := object(append(dst, '{')).uuid("id", idCourse, w.seed, i).text("kind", "courseGroup").text("title", title).text("slug", "course-"+strconv.Itoa(i))
	o = o.null("sku").text("status", "published").text("source", "custom").text("url", "https://academy.example.com/courses/"+strconv.Itoa(i))
	o = o.text("language", "en").raw("tags", `["new","ci"]`).raw("customFields", "{}").text("description", "<p>"+title+"</p>")
	o = o.null("metaTitle", "metaDescription", "asset").text("contentTypeLabel", "Course").raw("authorsAndInstructors", `["Ana Roe"]`)
	o = o.time("createdAt", created(i)).time("updatedAt", created(i)+5000).null("courseStartDate", "courseEndDate", "enrollmentStartDate", "enrollmentEndDate")
	o = o.number("enrollmentCount", int(w.luck(101, i)&1023)).number("priceInCents", 4900).null("suggestedRetailPriceInCents", "seatsLimit")
	o = o.number("waitlistCount", 0).flag("waitlistingEnabled", false).flag("waitlistingTriggered", false)
	return o.flag("freeWithRegistration", i%2 == 0).flag("hasChildren", false).close()
}

func meeting(dst []byte, w world, i int) []byte {
	o := object(append(dst, '{')).uuid("id", idOther, w.seed, i).text("title", "Meeting "+strconv.Itoa(i))
	o = o.time("startDate", created(i)).time("endDate", created(i)+3_600_000).text("location", "Online").null("attendeeInfo")
	o = o.raw("instructors", `[{"name":"Ana Roe"}]`).open("course").uuid("id", idCourse, w.seed, i%len(courses))
	return o.text("title", courses[i%len(courses)]).close().close()
}

func client(dst []byte, w world, i int) []byte {
	o := object(append(dst, '{')).uuid("id", idClient, w.seed, i).text("name", "Client "+strconv.Itoa(i)).text("slug", "client-"+strconv.Itoa(i))
	return o.text("sku", customer(i)).raw("tags", `[]`).flag("disabled", false).time("createdAt", created(i)).time("updatedAt", created(i)).close()
}

// customer is the number that client i has in the books of its supplier, such as the
// twin of Zuora Revenue.
func customer(i int) string { return "C-" + strconv.Itoa(10_001+i) }

func attempt(dst []byte, w world, i int) []byte {
	luck := w.luck(102, i)
	course := i % len(courses)
	o := object(append(dst, '{')).uuid("id", idOther, w.seed, i).text("status", "finished").number("grade", int(luck%101)).flag("passed", luck%101 >= 60)
	o = o.number("timeElapsedInSeconds", int(luck>>10&4095)).time("createdAt", created(i)).time("updatedAt", created(i)).uuid("courseId", idCourse, w.seed, course)
	o = o.open("course").text("title", courses[course]).close().open("assessment").uuid("id", idOther, w.seed, course).text("title", "Quiz").text("type", "quiz").close()
	u := int(luck % uint64(w.users))
	o = o.open("user").uuid("id", idUser, w.seed, u).email("email", u).uuid("clientId", idClient, w.seed, 1).close()
	return o.raw("answers", `[{"id":"a1","question":"Why?","answer":"Because","correct":true}]`).close()
}

func coupon(dst []byte, w world, i int) []byte {
	o := object(append(dst, '{')).uuid("id", idOther, w.seed, i).text("code", "CODE"+strconv.Itoa(i)).flag("active", true).null("percentOff")
	o = o.number("amountOffInCents", 500+i).number("maxRedemptions", 100).number("timesRedeemed", i%100).null("redeemBy", "appliesToUser")
	return o.flag("allowMultipleInCart", false).close()
}

package thoughtindustries

import (
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/record"
)

// endpoint is a table and where its rows are.
type endpoint struct {
	extract.Table
	path    string // below /incoming/v2/
	array   string // member of the answer that holds the rows
	keyless bool   // rows have no id: the key is made of their contents
}

const day = 24 * time.Hour

// since is before the vendor's first customers with data (2020, by a public user).
var since = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)

var endpoints = []endpoint{
	feed[courseAction]("course_actions", "courseAction", "Enrolments, status changes, certificates and revocations; told apart by type and source."),
	feed[courseCompletion]("course_completions", "courseCompletion", "Courses completed."),
	feed[courseView]("course_views", "courseView", "Pages of courses seen. Equal events are counted in _key."),
	feed[login]("logins", "login", "Sign-ins. Equal events are counted in _key."),
	feed[visit]("visits", "visit", "Visits. Equal events are counted in _key."),
	feed[coursePurchase]("course_purchases", "coursePurchase", "Purchases; amounts are integers in cents."),
	feed[learningPathAction]("learning_path_actions", "learningPathAction", "Steps on learning paths."),
	feed[emailCapture]("email_captures", "emailCapture", "Addresses left before a sign-up. Equal events are counted in _key."),
	feed[redemptionCodeRedeem]("code_redemptions", "redemptionCodeRedeem", "Redemption codes used. Equal events are counted in _key."),
	list[user]("users", "users", "users", "Learners and staff; those who left are disabled, not gone."),
	list[content]("content", "content", "contentItems", "Courses, articles, videos and other content."),
	list[meeting]("meetings", "meetings", "meetings", "Meetings of courses."),
	list[client]("clients", "clients", "clients", "Customers of the academy with their own area."),
	list[assessmentAttempt]("assessment_attempts", "assessmentAttempts", "assessmentAttempts", "Attempts at assessments, with their answers."),
	list[coupon]("coupons", "coupons", "coupons", "Coupons."),
}

func feed[T any](table, slug, doc string) endpoint {
	e := list[T](table, "events/"+slug, "events", doc)
	e.Slices = extract.Windows(day, time.Hour, 3*day, since)
	e.keyless = e.Key[0] == record.ColumnKey
	return e
}

func list[T any](table, path, array, doc string) endpoint {
	return endpoint{path: path, array: array, Table: extract.Table{
		Table: record.Table{Schema: "thought_industries", Name: table, Doc: doc,
			Columns: record.Columns[T](), Key: record.Key[T](), Mode: record.Merge},
		Slices: extract.Scans(7*day, day),
	}}
}

func tables() (out []extract.Table) {
	for _, e := range endpoints {
		out = append(out, e.Table)
	}
	return out
}

// event is what all events have.
type event struct {
	Timestamp  time.Time    `field:"timestamp" doc:"When it happened, to the millisecond; the vendor sorts and pages by it."`
	CompanyID  *string      `field:"companyId" doc:"The academy."`
	User       *string      `field:"user" pii:"email" doc:"E-mail address or user name."`
	UserDetail *record.JSON `field:"userDetail" pii:"person" doc:"The user as of the event: id, names, external ids, ref1 to ref10; of purchases also address and Stripe customer."`
}

// counted is the key of events that have no id.
type counted struct {
	Key string `field:"_key" column:"_key" key:"true" doc:"Digest of the event (half a SHA-256 of its canonical JSON, hex), then its number among equal events."`
}

type courseAction struct {
	ID string `field:"id" key:"true"`
	event
	Type         *string `field:"type"`
	Source       *string `field:"source"`
	NotifiableID *string `field:"notifiableId" doc:"The course or other content."`
	CourseTitle  *string `field:"courseTitle"`
	CourseSKU    *string `field:"courseSku"`
}

type courseCompletion struct {
	ID string `field:"id" key:"true"`
	event
	Event        *string      `field:"event"`
	Type         *string      `field:"type"`
	Source       *string      `field:"source"`
	NotifiableID *string      `field:"notifiableId" doc:"The course or other content."`
	Title        *string      `field:"title"`
	License      *record.JSON `field:"license"`
	UpdatedAt    *time.Time   `field:"updatedAt"`
}

type courseView struct {
	counted
	event
	CourseID     *string `field:"courseId"`
	CourseTitle  *string `field:"courseTitle"`
	CourseSKU    *string `field:"courseSku"`
	LessonID     *string `field:"lessonId"`
	LessonTitle  *string `field:"lessonTitle"`
	LessonSlug   *string `field:"lessonSlug"`
	SectionID    *string `field:"sectionId"`
	SectionTitle *string `field:"sectionTitle"`
	SectionSlug  *string `field:"sectionSlug"`
	TopicID      *string `field:"topicId"`
	TopicTitle   *string `field:"topicTitle"`
}

type login struct {
	counted
	event
	Event            *string      `field:"event"`
	CompanyHost      *string      `field:"companyHost"`
	CompanySubdomain *string      `field:"companySubdomain"`
	BrowserInfo      *record.JSON `field:"browserInfo"`
	UserAgent        *string      `field:"userAgent"`
	IPAddress        *string      `field:"ipAddress" pii:"ip"`
	IPGeoInfo        *record.JSON `field:"ipGeoInfo" pii:"location"`
}

type visit struct {
	counted
	event
	Event            *string `field:"event"`
	CompanyHost      *string `field:"companyHost"`
	CompanySubdomain *string `field:"companySubdomain"`
}

type coursePurchase struct {
	ID string `field:"id" key:"true"`
	event
	TransactionID         *string      `field:"transactionId"`
	Type                  *string      `field:"type"`
	OrderID               *string      `field:"orderId"`
	GroupID               *string      `field:"groupId"`
	ChargeID              *string      `field:"chargeId" pii:"payment" doc:"Of the payment provider."`
	PurchasableID         *string      `field:"purchasableId"`
	PurchasableType       *string      `field:"purchasableType"`
	Slug                  *string      `field:"slug"`
	Title                 *string      `field:"title"`
	SKU                   *string      `field:"sku"`
	CourseStartDate       *time.Time   `field:"courseStartDate"`
	Quantity              *int64       `field:"quantity"`
	Variation             *string      `field:"variation" doc:"Text, or an object as JSON."`
	RevenueType           *string      `field:"revenueType"`
	PriceInCents          *int64       `field:"priceInCents" doc:"Cents."`
	AmountNet             *int64       `field:"amountNet" doc:"Cents."`
	AmountWithoutDiscount *int64       `field:"amountWithoutDiscount" doc:"Cents."`
	AmountDiscounted      *int64       `field:"amountDiscounted" doc:"Cents."`
	AmountCharged         *int64       `field:"amountCharged" doc:"Cents."`
	AmountRefunded        *int64       `field:"amountRefunded" doc:"Cents."`
	AmountDisputed        *int64       `field:"amountDisputed" doc:"Cents."`
	AmountTaxed           *int64       `field:"amountTaxed" doc:"Cents."`
	Coupon                *record.JSON `field:"coupon" doc:"code and amountOffInCents."`
	CouponCode            *string      `field:"couponCode"`
	GiftRecipientEmail    *string      `field:"giftRecipientEmail" pii:"email"`
	ShippingMethod        *string      `field:"shippingMethod"`
	Success               *bool        `field:"success"`
	FailureCode           *string      `field:"failureCode"`
	FailureMessage        *string      `field:"failureMessage"`
	Referral              *record.JSON `field:"referral" doc:"source, referrer and referrerType."`
}

type learningPathAction struct {
	ID string `field:"id" key:"true"`
	event
	Type              *string `field:"type"`
	Source            *string `field:"source"`
	NotifiableID      *string `field:"notifiableId" doc:"The learning path or milestone."`
	LearningPathTitle *string `field:"learningPathTitle"`
	LearningPathSKU   *string `field:"learningPathSku"`
	MilestoneTitle    *string `field:"milestoneTitle"`
}

type emailCapture struct {
	counted
	Timestamp        time.Time `field:"timestamp" doc:"When it happened, to the millisecond; the vendor sorts and pages by it."`
	CompanyID        *string   `field:"companyId" doc:"The academy."`
	User             *string   `field:"user" pii:"email" doc:"E-mail address; there is no user yet."`
	Event            *string   `field:"event"`
	Source           *string   `field:"source"`
	NotifiableType   *string   `field:"notifiableType"`
	NotifiableID     *string   `field:"notifiableId"`
	CourseID         *string   `field:"courseId"`
	CourseSKU        *string   `field:"courseSku"`
	CourseTitle      *string   `field:"courseTitle"`
	CompanyHost      *string   `field:"companyHost"`
	CompanySubdomain *string   `field:"companySubdomain"`
	AnonymousID      *string   `field:"anonymousId"`
}

type redemptionCodeRedeem struct {
	counted
	event
	Event                    *string `field:"event"`
	CompanyHost              *string `field:"companyHost"`
	CompanySubdomain         *string `field:"companySubdomain"`
	RedemptionCode           *string `field:"redemptionCode"`
	RedemptionCodeGroupLabel *string `field:"redemptionCodeGroupLabel"`
}

// refs are ten fields that each academy uses as it likes.
type refs struct {
	Ref1  *string `field:"ref1"`
	Ref2  *string `field:"ref2"`
	Ref3  *string `field:"ref3"`
	Ref4  *string `field:"ref4"`
	Ref5  *string `field:"ref5"`
	Ref6  *string `field:"ref6"`
	Ref7  *string `field:"ref7"`
	Ref8  *string `field:"ref8"`
	Ref9  *string `field:"ref9"`
	Ref10 *string `field:"ref10"`
}

type user struct {
	ID                     string          `field:"id" key:"true"`
	Email                  *string         `field:"email" pii:"email"`
	FirstName              *string         `field:"firstName" pii:"name"`
	LastName               *string         `field:"lastName" pii:"name"`
	RoleKey                *string         `field:"roleKey"`
	Disabled               *bool           `field:"disabled"`
	CreatedAt              *time.Time      `field:"createdAt"`
	LastActiveAt           *time.Time      `field:"lastActiveAt"`
	Language               *string         `field:"language"`
	Country                *string         `field:"country" pii:"address"`
	State                  *string         `field:"state" pii:"address"`
	ZipCode                *string         `field:"zipCode" pii:"address"`
	ClientID               *string         `field:"clientId"`
	LearnerUserID          *string         `field:"learnerUserId"`
	ManagerUserID          *string         `field:"managerUserId"`
	ExternalCustomerID     *string         `field:"externalCustomerId"`
	SFAccountID            *string         `field:"sfAccountId" doc:"Salesforce account."`
	SFContactID            *string         `field:"sfContactId" doc:"Salesforce contact."`
	StripeCustomerID       *string         `field:"stripeCustomerId" pii:"payment"`
	ShippingName           *string         `field:"shippingName" pii:"name"`
	Balance                *record.Decimal `field:"balance" doc:"In the vendor's unit, which is not documented."`
	Asset                  *string         `field:"asset" doc:"Address of the picture."`
	CustomFields           *record.JSON    `field:"customFields" pii:"person"`
	PurchasedCourses       *record.JSON    `field:"purchasedCourses"`
	PurchasedBundles       *record.JSON    `field:"purchasedBundles"`
	WaitlistedCourses      *record.JSON    `field:"waitlistedCourses"`
	AllocatedLicenses      *record.JSON    `field:"allocatedLicenses"`
	AllocatedLearningPaths *record.JSON    `field:"allocatedLearningPaths"`
	refs
}

type content struct {
	ID                          string       `field:"id" key:"true"`
	Kind                        *string      `field:"kind"`
	Title                       *string      `field:"title"`
	Slug                        *string      `field:"slug"`
	SKU                         *string      `field:"sku"`
	Status                      *string      `field:"status"`
	Source                      *string      `field:"source"`
	URL                         *string      `field:"url"`
	Language                    *string      `field:"language"`
	Tags                        *record.JSON `field:"tags"`
	CustomFields                *record.JSON `field:"customFields"`
	Description                 *string      `field:"description"`
	MetaTitle                   *string      `field:"metaTitle"`
	MetaDescription             *string      `field:"metaDescription"`
	Asset                       *string      `field:"asset"`
	ContentTypeLabel            *string      `field:"contentTypeLabel"`
	AuthorsAndInstructors       *record.JSON `field:"authorsAndInstructors" pii:"name"`
	CreatedAt                   *time.Time   `field:"createdAt"`
	UpdatedAt                   *time.Time   `field:"updatedAt"`
	CourseStartDate             *time.Time   `field:"courseStartDate"`
	CourseEndDate               *time.Time   `field:"courseEndDate"`
	EnrollmentStartDate         *time.Time   `field:"enrollmentStartDate"`
	EnrollmentEndDate           *time.Time   `field:"enrollmentEndDate"`
	EnrollmentCount             *int64       `field:"enrollmentCount"`
	PriceInCents                *int64       `field:"priceInCents" doc:"Cents."`
	SuggestedRetailPriceInCents *int64       `field:"suggestedRetailPriceInCents" doc:"Cents."`
	SeatsLimit                  *int64       `field:"seatsLimit"`
	WaitlistCount               *int64       `field:"waitlistCount"`
	WaitlistingEnabled          *bool        `field:"waitlistingEnabled"`
	WaitlistingTriggered        *bool        `field:"waitlistingTriggered"`
	FreeWithRegistration        *bool        `field:"freeWithRegistration"`
	HasChildren                 *bool        `field:"hasChildren"`
}

type meeting struct {
	ID           string       `field:"id" key:"true"`
	Title        *string      `field:"title"`
	StartDate    *time.Time   `field:"startDate"`
	EndDate      *time.Time   `field:"endDate"`
	Location     *string      `field:"location" doc:"Text, or an object as JSON."`
	AttendeeInfo *string      `field:"attendeeInfo" doc:"Text, or an object as JSON."`
	Instructors  *record.JSON `field:"instructors" pii:"name"`
	Course       *record.JSON `field:"course" doc:"id and title."`
}

type client struct {
	ID        string       `field:"id" key:"true"`
	Name      *string      `field:"name"`
	Slug      *string      `field:"slug"`
	SKU       *string      `field:"sku"`
	Tags      *record.JSON `field:"tags"`
	Disabled  *bool        `field:"disabled"`
	CreatedAt *time.Time   `field:"createdAt"`
	UpdatedAt *time.Time   `field:"updatedAt"`
}

type assessmentAttempt struct {
	ID                   string          `field:"id" key:"true"`
	Status               *string         `field:"status"`
	Grade                *record.Decimal `field:"grade"`
	Passed               *bool           `field:"passed"`
	TimeElapsedInSeconds *record.Decimal `field:"timeElapsedInSeconds" doc:"Seconds."`
	CreatedAt            *time.Time      `field:"createdAt"`
	UpdatedAt            *time.Time      `field:"updatedAt"`
	CourseID             *string         `field:"courseId"`
	Course               *record.JSON    `field:"course" doc:"title."`
	Assessment           *record.JSON    `field:"assessment" doc:"id, title and type."`
	User                 *record.JSON    `field:"user" pii:"person" doc:"id, email and clientId."`
	Answers              *record.JSON    `field:"answers" doc:"Each with id, question, answer and correct."`
}

type coupon struct {
	ID                  string          `field:"id" key:"true"`
	Code                *string         `field:"code"`
	Active              *bool           `field:"active"`
	PercentOff          *record.Decimal `field:"percentOff" doc:"Per cent."`
	AmountOffInCents    *int64          `field:"amountOffInCents" doc:"Cents."`
	MaxRedemptions      *int64          `field:"maxRedemptions"`
	TimesRedeemed       *int64          `field:"timesRedeemed"`
	RedeemBy            *time.Time      `field:"redeemBy"`
	AppliesToUser       *string         `field:"appliesToUser" doc:"Text, or an object as JSON."`
	AllowMultipleInCart *bool           `field:"allowMultipleInCart"`
}

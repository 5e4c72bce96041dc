# One account per function, with what that function does and nothing else. None
# has a role on the project as a whole but to write its own logs.

resource "google_service_account" "function" {
  for_each     = local.deployed
  account_id   = "${var.prefix}-${each.key}"
  display_name = "Millrace function ${each.key}"
}

# Pub/Sub and the scheduler call functions as these.
resource "google_service_account" "push" {
  account_id   = "${var.prefix}-push"
  display_name = "Millrace: Pub/Sub pushes to functions"
}

resource "google_service_account" "scheduler" {
  account_id   = "${var.prefix}-scheduler"
  display_name = "Millrace: Cloud Scheduler starts functions"
}

# Builds run as their own account: the default one may be an editor of the project.
resource "google_service_account" "build" {
  account_id   = "${var.prefix}-build"
  display_name = "Millrace: builds functions from packages"
}

resource "google_project_iam_member" "build" {
  for_each = toset(["roles/logging.logWriter", "roles/artifactregistry.writer"])
  project  = var.project
  role     = each.key
  member   = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.packages.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# Google's builders keep the upload in a bucket of their own, gcf-v2-sources-…
resource "google_project_iam_member" "build_sources" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title      = "sources of functions only"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-\")"
  }
}

# A connector writes parts and manifests, reads what an earlier attempt staged,
# and deletes what it replaces; only below its own folder and its raw one.
resource "google_storage_bucket_iam_member" "connector" {
  for_each = local.connectors
  bucket   = google_storage_bucket.stage.name
  role     = "roles/storage.objectUser"
  member   = google_service_account.function[each.key].member

  condition {
    title = "folders of ${each.key}"
    expression = join(" || ", [
      for folder in ["${each.key}/", "raw/${each.key}/", "corrupt/${each.key}/", "corrupt/events/${each.key}/"] :
      "resource.name.startsWith(\"projects/_/buckets/${local.stage}/objects/${folder}\")"
    ])
  }
}

# Listing is asked of the bucket, not of objects, so it has no prefix.
resource "google_project_iam_custom_role" "list" {
  role_id     = replace("${var.prefix}StageLister", "-", "_")
  title       = "Millrace: list the stage"
  permissions = ["storage.buckets.get", "storage.objects.list"]
}

resource "google_storage_bucket_iam_member" "lister" {
  for_each = local.staged
  bucket   = google_storage_bucket.stage.name
  role     = google_project_iam_custom_role.list.id
  member   = google_service_account.function[each.key].member
}

# load reads what any connector staged, and writes nothing but the events that it
# cannot handle.
resource "google_storage_bucket_iam_member" "load" {
  bucket = google_storage_bucket.stage.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["load"].member
}

resource "google_storage_bucket_iam_member" "load_events" {
  bucket = google_storage_bucket.stage.name
  role   = "roles/storage.objectUser"
  member = google_service_account.function["load"].member

  condition {
    title      = "events that load cannot handle"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.stage}/objects/corrupt/events/load/\")"
  }
}

resource "google_storage_bucket_iam_member" "reader" {
  for_each = var.stage_readers
  bucket   = google_storage_bucket.stage.name
  role     = "roles/storage.objectViewer"
  member   = each.key
}

resource "google_storage_bucket_iam_member" "reader_bucket" {
  for_each = var.stage_readers
  bucket   = google_storage_bucket.stage.name
  role     = google_project_iam_custom_role.list.id
  member   = each.key
}

# A connector publishes slices, also to itself when it stops before its deadline;
# load publishes what it loaded, and so does what fills a table of its own.
resource "google_pubsub_topic_iam_member" "slices" {
  for_each = local.connectors
  topic    = google_pubsub_topic.chain["millrace-slices"].id
  role     = "roles/pubsub.publisher"
  member   = google_service_account.function[each.key].member
}

resource "google_pubsub_topic_iam_member" "loaded" {
  for_each = local.announces
  topic    = google_pubsub_topic.chain["millrace-loaded"].id
  role     = "roles/pubsub.publisher"
  member   = google_service_account.function[each.key].member
}

resource "google_cloud_run_service_iam_member" "push" {
  for_each = google_cloudfunctions2_function.this
  location = each.value.location
  service  = each.value.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_cloud_run_service_iam_member" "scheduler" {
  for_each = local.scheduled
  location = google_cloudfunctions2_function.this[each.key].location
  service  = google_cloudfunctions2_function.this[each.key].name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

# Pub/Sub signs the tokens that it pushes with.
resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

resource "google_storage_bucket" "stage" {
  name                        = local.stage
  location                    = var.region
  uniform_bucket_level_access = true # conditions on folders need it
  public_access_prevention    = "enforced"

  # Parts and manifests of one slice are not needed once it is loaded and nobody
  # replays it. raw/ holds what a vendor does not give twice, and is never deleted.
  lifecycle_rule {
    condition {
      age            = var.stage_days
      matches_prefix = [for n, f in local.map : "${n}/" if n != "load" && !can(f.after)]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age            = 30
      matches_prefix = ["raw/"]
    }
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.apis]
}

data "google_storage_project_service_account" "gcs" {}

# Every object is announced; load looks at manifests only.
resource "google_storage_notification" "arrivals" {
  bucket         = google_storage_bucket.stage.name
  topic          = google_pubsub_topic.chain["millrace-arrivals"].id
  event_types    = ["OBJECT_FINALIZE"]
  payload_format = "JSON_API_V1"

  depends_on = [google_pubsub_topic_iam_member.gcs]
}

resource "google_pubsub_topic_iam_member" "gcs" {
  topic  = google_pubsub_topic.chain["millrace-arrivals"].id
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.gcs.member
}

resource "google_storage_bucket" "packages" {
  name                        = "${var.project}-${var.prefix}-packages"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age = 365
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.apis]
}

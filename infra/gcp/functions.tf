resource "google_storage_bucket_object" "package" {
  for_each = local.deployed
  bucket   = google_storage_bucket.packages.name
  # The name holds the contents' digest: the same package is the same object, and
  # a new one is a new deployment. `make package` writes the same bytes again.
  name   = "${each.key}-${filesha256("${path.module}/${var.packages}/${each.key}.zip")}.zip"
  source = "${path.module}/${var.packages}/${each.key}.zip"
}

resource "google_cloudfunctions2_function" "this" {
  for_each    = local.deployed
  name        = "${var.prefix}-${each.key}"
  location    = var.region
  description = try(each.value.note, "Millrace function ${each.key}")

  build_config {
    runtime         = var.runtime
    entry_point     = each.key
    service_account = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket.packages.name
        object = google_storage_bucket_object.package[each.key].name
      }
    }
  }

  service_config {
    service_account_email = google_service_account.function[each.key].email
    # Pub/Sub and Cloud Scheduler of this project count as internal.
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    timeout_seconds                  = each.value.timeout_s
    available_memory                 = "${each.value.memory_mb}M"
    max_instance_count               = each.value.max_instances
    min_instance_count               = 0
    max_instance_request_concurrency = 1 # one slice at a time has the memory for itself
    all_traffic_on_latest_revision   = true

    vpc_connector                 = contains(keys(local.static), each.key) ? google_vpc_access_connector.static[0].id : null
    vpc_connector_egress_settings = contains(keys(local.static), each.key) ? "ALL_TRAFFIC" : null

    environment_variables = merge(
      {
        MILLRACE_WAREHOUSE       = replace(var.warehouse, "{FUNCTION}", upper(each.key))
        MILLRACE_CHAIN           = "pubsub:${var.project}"
        MILLRACE_DEADLINE        = "${each.value.timeout_s}s"
        MILLRACE_SECRET_LIFETIME = var.secret_lifetime
        GOOGLE_CLOUD_PROJECT     = var.project # trace ids in logs are named by it
      },
      contains(keys(local.staged), each.key) ? { MILLRACE_STAGE = "gs://${google_storage_bucket.stage.name}" } : {},
      lookup(var.settings, each.key, {}),
      # By reference: the function reads the secret itself, so that a rotation is
      # seen without a deployment and no value shows in the console or the state.
      { for v in concat(local.secrets[each.key], tolist(var.warehouse_secrets)) :
      v => "secret://${google_secret_manager_secret.this[v].id}/versions/latest" },
    )
  }

  depends_on = [
    google_project_service.apis,
    google_project_iam_member.build,
    google_project_iam_member.build_sources,
    google_storage_bucket_iam_member.build,
  ]
}

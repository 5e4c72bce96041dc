# The secrets are made here and their values are not: terraform would keep them in
# its state. infra/README.md says how a value gets in.
resource "google_secret_manager_secret" "this" {
  for_each  = local.secret_names
  secret_id = "${var.prefix}-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_secret_manager_secret_iam_member" "function" {
  for_each  = local.secret_uses
  secret_id = google_secret_manager_secret.this[each.value.variable].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}

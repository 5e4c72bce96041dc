# The secrets are made here and their values are not: terraform would keep them in
# its state. infra/README.md says how a value gets in.
resource "aws_secretsmanager_secret" "this" {
  for_each                = local.secret_names
  name                    = "${var.prefix}/${each.key}"
  recovery_window_in_days = 7
}

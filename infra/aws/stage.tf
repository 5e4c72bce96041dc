resource "aws_s3_bucket" "stage" {
  bucket = local.stage
}

resource "aws_s3_bucket_public_access_block" "stage" {
  bucket                  = aws_s3_bucket.stage.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "stage" {
  bucket = aws_s3_bucket.stage.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# Plain http is refused, whoever asks.
resource "aws_s3_bucket_policy" "stage" {
  bucket = aws_s3_bucket.stage.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.stage.arn, "${aws_s3_bucket.stage.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.stage]
}

# Parts and manifests of one slice are not needed once it is loaded and nobody
# replays it. raw/ holds what a vendor does not give twice, and is never deleted.
resource "aws_s3_bucket_lifecycle_configuration" "stage" {
  bucket = aws_s3_bucket.stage.id

  dynamic "rule" {
    for_each = { for n, f in local.map : n => f if n != "load" && !can(f.after) }
    content {
      id     = rule.key
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = var.stage_days
      }
    }
  }

  rule {
    id     = "raw"
    status = "Enabled"

    filter {
      prefix = "raw/"
    }

    transition {
      days          = 30
      storage_class = "STANDARD_IA"
    }
  }

  rule {
    id     = "aborted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# Only manifests are announced, and only those in a connector's folder: what load
# and people write elsewhere can start nothing.
resource "aws_s3_bucket_notification" "arrivals" {
  bucket = aws_s3_bucket.stage.id

  dynamic "queue" {
    for_each = local.connectors
    content {
      id            = queue.key
      queue_arn     = aws_sqs_queue.work["load"].arn
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = "${queue.key}/"
      filter_suffix = "/manifest.json"
    }
  }

  depends_on = [aws_sqs_queue_policy.work]
}

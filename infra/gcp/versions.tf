terraform {
  required_version = ">= 1.9" # validation of one variable by another

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }

  # State: see infra/README.md. `terraform init -backend-config=…` fills this in.
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region
}

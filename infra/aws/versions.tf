terraform {
  required_version = ">= 1.9" # validation of one variable by another

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.60, < 7.0"
    }
  }

  # State: see infra/README.md. `terraform init -backend-config=…` fills this in.
  backend "s3" {}
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = var.prefix }
  }
}

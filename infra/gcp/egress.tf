# One address for the functions whose entry says egress = static, so that a vendor
# can put it on an allow-list. Nothing here exists where no such function is
# deployed: the connector's two small machines cost money by the hour.

locals {
  egress = length(local.static) > 0 ? 1 : 0
}

resource "google_project_service" "vpcaccess" {
  count              = local.egress
  service            = "vpcaccess.googleapis.com"
  disable_on_destroy = false
}

resource "google_compute_network" "static" {
  count                   = local.egress
  name                    = "${var.prefix}-static"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.apis]
}

resource "google_compute_subnetwork" "static" {
  count                    = local.egress
  name                     = "${var.prefix}-static"
  region                   = var.region
  network                  = google_compute_network.static[0].id
  ip_cidr_range            = "10.8.0.0/28" # a connector takes a whole /28
  private_ip_google_access = true          # Google's own services stay off the NAT
}

resource "google_vpc_access_connector" "static" {
  count         = local.egress
  name          = "${var.prefix}-static"
  region        = var.region
  machine_type  = "e2-micro"
  min_instances = 2
  max_instances = 3

  subnet {
    name = google_compute_subnetwork.static[0].name
  }

  depends_on = [google_project_service.vpcaccess]
}

resource "google_compute_address" "static" {
  count  = local.egress
  name   = "${var.prefix}-static"
  region = var.region

  lifecycle {
    prevent_destroy = true # the vendor has it on its list
  }
}

resource "google_compute_router" "static" {
  count   = local.egress
  name    = "${var.prefix}-static"
  region  = var.region
  network = google_compute_network.static[0].id
}

resource "google_compute_router_nat" "static" {
  count                              = local.egress
  name                               = "${var.prefix}-static"
  region                             = var.region
  router                             = google_compute_router.static[0].name
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.static[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

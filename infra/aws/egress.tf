# One address for the functions whose entry says egress = static, so that a vendor
# can put it on an allow-list. Nothing here exists where no such function is
# deployed: the gateway costs money by the hour. One gateway in one zone: when that
# zone fails, these functions wait, and their slices are read afterwards.

locals {
  egress = length(local.static) > 0 ? 1 : 0
}

data "aws_availability_zones" "this" {
  state = "available"
}

resource "aws_vpc" "static" {
  count      = local.egress
  cidr_block = var.vpc_cidr
  tags       = { Name = "${var.prefix}-static" }
}

resource "aws_subnet" "public" {
  count             = local.egress
  vpc_id            = aws_vpc.static[0].id
  cidr_block        = cidrsubnet(var.vpc_cidr, 1, 0)
  availability_zone = data.aws_availability_zones.this.names[0]
  tags              = { Name = "${var.prefix}-public" }
}

resource "aws_subnet" "private" {
  count             = local.egress
  vpc_id            = aws_vpc.static[0].id
  cidr_block        = cidrsubnet(var.vpc_cidr, 1, 1)
  availability_zone = data.aws_availability_zones.this.names[0]
  tags              = { Name = "${var.prefix}-private" }
}

resource "aws_internet_gateway" "static" {
  count  = local.egress
  vpc_id = aws_vpc.static[0].id
}

resource "aws_eip" "static" {
  count  = local.egress
  domain = "vpc"
  tags   = { Name = "${var.prefix}-static" }

  lifecycle {
    prevent_destroy = true # the vendor has it on its list
  }
}

resource "aws_nat_gateway" "static" {
  count         = local.egress
  allocation_id = aws_eip.static[0].id
  subnet_id     = aws_subnet.public[0].id
  depends_on    = [aws_internet_gateway.static]
}

resource "aws_route_table" "public" {
  count  = local.egress
  vpc_id = aws_vpc.static[0].id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.static[0].id
  }
}

resource "aws_route_table" "private" {
  count  = local.egress
  vpc_id = aws_vpc.static[0].id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.static[0].id
  }
}

resource "aws_route_table_association" "public" {
  count          = local.egress
  subnet_id      = aws_subnet.public[0].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_route_table_association" "private" {
  count          = local.egress
  subnet_id      = aws_subnet.private[0].id
  route_table_id = aws_route_table.private[0].id
}

# The stage is reached without paying the gateway by the gigabyte.
resource "aws_vpc_endpoint" "s3" {
  count           = local.egress
  vpc_id          = aws_vpc.static[0].id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [aws_route_table.private[0].id]
}

resource "aws_security_group" "static" {
  count       = local.egress
  name        = "${var.prefix}-static"
  description = "Functions with a static address: out to HTTPS, in from nowhere"
  vpc_id      = aws_vpc.static[0].id

  egress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
